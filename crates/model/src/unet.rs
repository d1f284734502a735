//! The classic UNet (Ronneberger, Fischer & Brox, 2015) with same-size convolutions and BatchNorm; if asked for, with
//! residual blocks (He et al., 2016) and attention gates (Oktay et al., 2018).

use crate::blocks::{Conv, ConvNorm, ConvTranspose, conv, dropout, norm, padded, strided, twice, twice_beside};
use crate::{Block, UNetConfig, Upsampling};
use tch::Tensor;
use tch::nn::{self, ModuleT};
use torch_ext as ext;

/// Two times convolution 3×3, BatchNorm, ReLU.
#[derive(Debug)]
struct DoubleConv {
    first: ConvNorm,
    second: ConvNorm,
    /// What is added before the last ReLU, of a residual block.
    shortcut: Option<ConvNorm>,
}

impl DoubleConv {
    fn new(path: &nn::Path, inputs: i64, outputs: i64, block: Block) -> Self {
        let conv_norm3x3 = |number: i64, inputs: i64| {
            let conv = conv(&(path / format!("conv{number}")), inputs, outputs, 3, false);
            ConvNorm::new(conv, norm(&(path / format!("norm{number}")), outputs))
        };
        let shortcut = || conv_norm(&(path / "shortcut"), inputs, outputs);
        Self {
            first: conv_norm3x3(1, inputs),
            second: conv_norm3x3(2, outputs),
            shortcut: (block == Block::Residual).then(shortcut),
        }
    }
}

impl ModuleT for DoubleConv {
    fn forward_t(&self, x_nchw: &Tensor, train: bool) -> Tensor {
        let convs = [&self.first, &self.second];
        match &self.shortcut {
            None => twice(x_nchw, convs, train),
            Some(shortcut) => twice_beside(x_nchw, convs, &x_nchw.apply_t(shortcut, train), train),
        }
    }
}

/// A convolution 1×1 with BatchNorm.
fn conv_norm(path: &nn::Path, inputs: i64, outputs: i64) -> ConvNorm {
    ConvNorm::new(strided(&(path / "conv"), [inputs, outputs], 1, 1, 1), norm(&(path / "norm"), outputs))
}

/// Doubles height and width and halves the channels.
#[derive(Debug)]
enum Up {
    Transposed(ConvTranspose),
    Bilinear(Conv),
}

impl Up {
    fn new(path: &nn::Path, inputs: i64, outputs: i64, upsampling: Upsampling) -> Self {
        match upsampling {
            Upsampling::Transposed => Self::Transposed(ConvTranspose::new(path, inputs, outputs, 2, true)),
            Upsampling::Bilinear => Self::Bilinear(conv(path, inputs, outputs, 1, true)),
        }
    }

    fn forward(&self, x_nchw: &Tensor) -> Tensor {
        match self {
            Self::Transposed(conv) => x_nchw.apply(conv),
            Self::Bilinear(conv) => {
                // By a factor: a size would become a constant where libtorch follows the network.
                x_nchw.apply(conv).upsample_bilinear2d_vec(None::<&[i64]>, false, [2.0, 2.0].as_slice())
            }
        }
    }
}

/// An additive attention gate: how much of each pixel of a skip is let through, as the skip and what comes up say.
#[derive(Debug)]
struct Gate {
    skip: ConvNorm,
    up: ConvNorm,
    share: ConvNorm,
}

impl Gate {
    fn new(path: &nn::Path, channels: i64) -> Self {
        let between = (channels / 2).max(1);
        Self {
            skip: conv_norm(&(path / "skip"), channels, between),
            up: conv_norm(&(path / "up"), channels, between),
            share: conv_norm(&(path / "share"), between, 1),
        }
    }

    fn forward(&self, skip_nchw: &Tensor, up_nchw: &Tensor, train: bool) -> Tensor {
        let both = skip_nchw.apply_t(&self.skip, train) + up_nchw.apply_t(&self.up, train);
        skip_nchw * both.relu().apply_t(&self.share, train).sigmoid()
    }
}

/// A UNet: `depth` times down by 2, and up again with the activations of the way down beside those of the way up.
///
/// Takes `[N, C, H, W]` f32 of any height and width, gives logits `[N, K, H, W]`. Sizes that `2^depth` does not divide are
/// padded at the right and the bottom by repeating the border, and the logits are cropped back.
#[derive(Debug)]
pub struct UNet {
    encoder: Vec<DoubleConv>,
    bottom: DoubleConv,
    /// From the deepest up, like the decoder and the gates.
    ups: Vec<Up>,
    decoder: Vec<DoubleConv>,
    /// One for each skip, or none at all.
    gates: Vec<Gate>,
    dropout: f64,
    head: Conv,
}

impl UNet {
    /// For images of `channels` channels and `classes` classes.
    pub fn new(path: &nn::Path, channels: i64, classes: i64, config: &UNetConfig) -> Self {
        let &UNetConfig { width, depth, upsampling, block, attention, .. } = config;
        let at = |level: i64| width << level;
        let before = |level: i64| if level == 0 { channels } else { at(level - 1) };
        let numbered = |name: &str, level: i64| path / format!("{name}{level}");
        let down = |level| DoubleConv::new(&numbered("encoder", level), before(level), at(level), block);
        let up = |level| Up::new(&numbered("up", level), at(level + 1), at(level), upsampling);
        let merge = |level| DoubleConv::new(&numbered("decoder", level), 2 * at(level), at(level), block);
        let gate = |level| attention.then(|| Gate::new(&numbered("gate", level), at(level)));
        Self {
            encoder: (0..depth).map(down).collect(),
            bottom: DoubleConv::new(&(path / "bottom"), before(depth), at(depth), block),
            ups: (0..depth).rev().map(up).collect(),
            decoder: (0..depth).rev().map(merge).collect(),
            gates: (0..depth).rev().map_while(gate).collect(),
            dropout: config.common.dropout,
            head: conv(&(path / "head"), width, classes, 1, true),
        }
    }

    fn logits(&self, mut x: Tensor, train: bool) -> Tensor {
        let mut skips = Vec::new();
        for block in &self.encoder {
            let skip = x.apply_t(block, train);
            x = ext::max_pool2x2(&skip).unwrap_or_else(|error| panic!("{error}"));
            skips.push(skip);
        }
        x = dropout(x.apply_t(&self.bottom, train), self.dropout, train);
        let mut gates = self.gates.iter();
        for ((up, block), mut skip) in self.ups.iter().zip(&self.decoder).zip(skips.into_iter().rev()) {
            let up = up.forward(&x);
            if let Some(gate) = gates.next() {
                skip = gate.forward(&skip, &up, train);
            }
            x = Tensor::cat(&[skip, up], 1);
            x = x.apply_t(block, train);
        }
        dropout(x, self.dropout, train).apply(&self.head)
    }
}

impl ModuleT for UNet {
    fn forward_t(&self, x_nchw: &Tensor, train: bool) -> Tensor {
        padded(x_nchw, 1 << self.encoder.len(), |x| self.logits(x, train))
    }
}
