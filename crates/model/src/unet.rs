//! The classic UNet (Ronneberger, Fischer & Brox, 2015) with same-size convolutions and BatchNorm; optionally with
//! residual blocks (He et al., 2016) and attention gates (Oktay et al., 2018).

use crate::blocks::{Conv, ConvNorm, ConvTranspose, conv, dropout, norm, padded, strided, twice, twice_beside};
use crate::part::{Buffers, Part};
use crate::{Block, UNetConfig, Upsampling};
use tch::Tensor;
use tch::nn::{self, ModuleT};
use torch_ext as ext;

/// Two convolutions 3×3, each with BatchNorm and ReLU.
#[derive(Debug)]
struct DoubleConv {
    first: ConvNorm,
    second: ConvNorm,
    /// Convolution of the input that a residual block adds before the last ReLU.
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

/// Makes a convolution 1×1 with BatchNorm.
fn conv_norm(path: &nn::Path, inputs: i64, outputs: i64) -> ConvNorm {
    ConvNorm::new(strided(&(path / "conv"), [inputs, outputs], 1, 1, 1), norm(&(path / "norm"), outputs))
}

/// A layer that doubles height and width and halves the channels.
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
                // By a factor: a size would become a constant of the trace.
                x_nchw.apply(conv).upsample_bilinear2d_vec(None::<&[i64]>, false, [2.0, 2.0].as_slice())
            }
        }
    }
}

/// Additive attention gate: weights each pixel of a skip, judging by the skip and the upsampled activation.
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

/// A decoder step: upsampling, concatenation with the skip (through the gate, if any), and the block.
#[derive(Debug)]
struct UpBlock {
    up: Up,
    gate: Option<Gate>,
    block: DoubleConv,
}

impl UpBlock {
    fn forward(&self, x_nchw: &Tensor, skip_nchw: &Tensor, train: bool) -> Tensor {
        let up = self.up.forward(x_nchw);
        let skip = match &self.gate {
            Some(gate) => gate.forward(skip_nchw, &up, train),
            None => skip_nchw.shallow_clone(),
        };
        Tensor::cat(&[skip, up], 1).apply_t(&self.block, train)
    }
}

impl Buffers for UpBlock {
    fn buffers(&self) -> Vec<Tensor> {
        let gate = self.gate.iter().flat_map(|gate| [&gate.skip, &gate.up, &gate.share]);
        gate.flat_map(Buffers::buffers).chain(self.block.buffers()).collect()
    }
}

/// UNet of `depth` steps down by 2 and up again, with the encoder's activations as skips.
///
/// Maps `[N, C, H, W]` f32 of any height and width to logits `[N, K, H, W]`. Sizes that are no multiple of `2^depth`
/// are padded at the right and the bottom by repeating the border, and the logits are cropped back.
#[derive(Debug)]
pub struct UNet {
    encoder: Vec<Part<DoubleConv>>,
    bottom: Part<DoubleConv>,
    /// Deepest first.
    decoder: Vec<Part<UpBlock>>,
    dropout: f64,
    recompute: bool,
    head: Conv,
}

impl UNet {
    /// Makes the network for images with `channels` channels and `classes` classes.
    pub fn new(path: &nn::Path, channels: i64, classes: i64, config: &UNetConfig) -> Self {
        let &UNetConfig { width, depth, upsampling, block, attention, .. } = config;
        let at = |level: i64| width << level;
        let before = |level: i64| if level == 0 { channels } else { at(level - 1) };
        let numbered = |name: &str, level: i64| path / format!("{name}{level}");
        let down = |level| Part::new(DoubleConv::new(&numbered("encoder", level), before(level), at(level), block));
        let up = |level| Up::new(&numbered("up", level), at(level + 1), at(level), upsampling);
        let merge = |level| DoubleConv::new(&numbered("decoder", level), 2 * at(level), at(level), block);
        let gate = |level| attention.then(|| Gate::new(&numbered("gate", level), at(level)));
        // This order decides the initial weights, which are drawn from one generator.
        let encoder = (0..depth).map(down).collect();
        let bottom = Part::new(DoubleConv::new(&(path / "bottom"), before(depth), at(depth), block));
        let ups: Vec<Up> = (0..depth).rev().map(up).collect();
        let blocks: Vec<DoubleConv> = (0..depth).rev().map(merge).collect();
        let gates: Vec<Option<Gate>> = (0..depth).rev().map(gate).collect();
        let steps = ups.into_iter().zip(gates).zip(blocks);
        Self {
            encoder,
            bottom,
            decoder: steps.map(|((up, gate), block)| Part::new(UpBlock { up, gate, block })).collect(),
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
