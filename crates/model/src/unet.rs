//! The classic UNet (Ronneberger, Fischer & Brox, 2015) with same-size convolutions and BatchNorm; if asked for, with
//! residual blocks (He et al., 2016) and attention gates (Oktay et al., 2018).

use crate::blocks::{Conv, ConvNorm, ConvTranspose, conv, dropout, norm, padded, strided, twice, twice_beside};
use crate::part::{Buffers, Part};
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

impl Buffers for DoubleConv {
    fn buffers(&self) -> Vec<Tensor> {
        [&self.first, &self.second].into_iter().chain(&self.shortcut).flat_map(Buffers::buffers).collect()
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

/// A step up: what comes from below doubled, the skip beside it (through the gate, if there is one), and the block.
#[derive(Debug)]
struct Step {
    up: Up,
    gate: Option<Gate>,
    block: DoubleConv,
}

impl Step {
    fn forward(&self, x_nchw: &Tensor, skip_nchw: &Tensor, train: bool) -> Tensor {
        let up = self.up.forward(x_nchw);
        let skip = match &self.gate {
            Some(gate) => gate.forward(skip_nchw, &up, train),
            None => skip_nchw.shallow_clone(),
        };
        Tensor::cat(&[skip, up], 1).apply_t(&self.block, train)
    }
}

impl Buffers for Step {
    fn buffers(&self) -> Vec<Tensor> {
        let gate = self.gate.iter().flat_map(|gate| [&gate.skip, &gate.up, &gate.share]);
        gate.flat_map(Buffers::buffers).chain(self.block.buffers()).collect()
    }
}

/// A UNet: `depth` times down by 2, and up again with the activations of the way down beside those of the way up.
///
/// Takes `[N, C, H, W]` f32 of any height and width, gives logits `[N, K, H, W]`. Sizes that `2^depth` does not divide are
/// padded at the right and the bottom by repeating the border, and the logits are cropped back.
#[derive(Debug)]
pub struct UNet {
    encoder: Vec<Part<DoubleConv>>,
    bottom: Part<DoubleConv>,
    /// From the deepest up.
    decoder: Vec<Part<Step>>,
    dropout: f64,
    recompute: bool,
    head: Conv,
}

impl UNet {
    /// For images of `channels` channels and `classes` classes.
    pub fn new(path: &nn::Path, channels: i64, classes: i64, config: &UNetConfig) -> Self {
        let &UNetConfig { width, depth, upsampling, block, attention, .. } = config;
        let at = |level: i64| width << level;
        let before = |level: i64| if level == 0 { channels } else { at(level - 1) };
        let numbered = |name: &str, level: i64| path / format!("{name}{level}");
        let down = |level| Part::new(DoubleConv::new(&numbered("encoder", level), before(level), at(level), block));
        let up = |level| Up::new(&numbered("up", level), at(level + 1), at(level), upsampling);
        let merge = |level| DoubleConv::new(&numbered("decoder", level), 2 * at(level), at(level), block);
        let gate = |level| attention.then(|| Gate::new(&numbered("gate", level), at(level)));
        // In this order, which initial weights are drawn in.
        let encoder = (0..depth).map(down).collect();
        let bottom = Part::new(DoubleConv::new(&(path / "bottom"), before(depth), at(depth), block));
        let ups: Vec<Up> = (0..depth).rev().map(up).collect();
        let blocks: Vec<DoubleConv> = (0..depth).rev().map(merge).collect();
        let gates: Vec<Option<Gate>> = (0..depth).rev().map(gate).collect();
        let steps = ups.into_iter().zip(gates).zip(blocks);
        Self {
            encoder,
            bottom,
            decoder: steps.map(|((up, gate), block)| Part::new(Step { up, gate, block })).collect(),
            dropout: config.common.dropout,
            recompute: config.common.recompute,
            head: conv(&(path / "head"), width, classes, 1, true),
        }
    }

    fn logits(&self, mut x: Tensor, train: bool) -> Tensor {
        let again = self.recompute && train;
        let double = move |block: &DoubleConv, [x]: [&Tensor; 1]| x.apply_t(block, train);
        let mut skips = Vec::new();
        for block in &self.encoder {
            let skip = block.run(again, [&x], double);
            x = ext::max_pool2x2(&skip).unwrap_or_else(|error| panic!("{error}"));
            skips.push(skip);
        }
        x = dropout(self.bottom.run(again, [&x], double), self.dropout, train);
        for (step, skip) in self.decoder.iter().zip(skips.into_iter().rev()) {
            x = step.run(again, [&x, &skip], move |step, [x, skip]| step.forward(x, skip, train));
        }
        dropout(x, self.dropout, train).apply(&self.head)
    }
}

impl ModuleT for UNet {
    fn forward_t(&self, x_nchw: &Tensor, train: bool) -> Tensor {
        padded(x_nchw, 1 << self.encoder.len(), |x| self.logits(x, train))
    }
}
