//! A UNet with a MobileNetV2 encoder (Sandler et al., 2018) and the decoder of TensorFlow's tutorial on segmentation.
//!
//! The encoder's variables have torchvision's names below `encoder`.

use crate::MobileNetV2UNetConfig;
use crate::blocks::{ConvNorm, ConvTranspose, dropout, norm, norm_relu, padded, strided};
use crate::encoder::{ENCODER, EncoderConfig};
use crate::part::{Buffers, Part};
use tch::Tensor;
use tch::nn::{self, ModuleT};
use torch_ext::Relu;

/// Expansion factor, channels, number of blocks and stride of the first block, for each group of blocks (table 2 of the
/// paper).
const GROUPS: [[i64; 4]; 7] =
    [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 3, 2], [6, 64, 4, 2], [6, 96, 3, 1], [6, 160, 3, 2], [6, 320, 1, 1]];

/// Blocks whose widened activations are the skips at 1/2, 1/4, 1/8 and 1/16; the first convolution counts as 0.
const SKIPS: [usize; 4] = [2, 4, 7, 14];

/// Channels of the decoder's steps, deepest first.
const UP: [i64; 4] = [512, 256, 128, 64];

/// Returns `channels` times `multiplier`, rounded to a multiple of 8 that is at most a tenth below.
fn scaled(channels: i64, multiplier: f64) -> i64 {
    let wanted = channels as f64 * multiplier;
    let nearest = ((wanted + 4.0) as i64 / 8 * 8).max(8);
    if (nearest as f64) < 0.9 * wanted { nearest + 8 } else { nearest }
}

/// Inverted residual block: a 1×1 convolution that widens, a depthwise 3×3 one, and a linear 1×1 one that narrows.
#[derive(Debug)]
struct Inverted {
    widen: Option<ConvNorm>,
    depthwise: ConvNorm,
    narrow: ConvNorm,
    /// True if the input is added to the output, which has the same size.
    residual: bool,
}

impl Inverted {
    fn new(path: &nn::Path, [inputs, outputs]: [i64; 2], times: i64, stride: i64) -> Self {
        let (path, wide) = (path / "conv", inputs * times);
        let conv_norm = |name: &str, [inputs, outputs]: [i64; 2], kernel, stride, groups| {
            let path = &path / name;
            ConvNorm::new(strided(&(&path / 0), [inputs, outputs], kernel, stride, groups), norm(&(&path / 1), outputs))
        };
        // torchvision numbers only the layers that exist.
        let first = usize::from(times > 1);
        let last = strided(&(&path / (first + 1)), [wide, outputs], 1, 1, 1);
        Self {
            widen: (times > 1).then(|| conv_norm("0", [inputs, wide], 1, 1, 1)),
            depthwise: conv_norm(&first.to_string(), [wide, wide], 3, stride, wide),
            narrow: ConvNorm::new(last, norm(&(&path / (first + 2)), outputs)),
            residual: stride == 1 && inputs == outputs,
        }
    }

    /// Returns the input at the width of the depthwise convolution.
    fn widened(&self, x_nchw: &Tensor, train: bool) -> Tensor {
        match &self.widen {
            Some(widen) => widen.relu(x_nchw, Relu::Six, train),
            None => x_nchw.shallow_clone(),
        }
    }

    /// Returns the block's output, given the input and the widened input.
    fn narrowed(&self, x_nchw: &Tensor, wide_nchw: &Tensor, train: bool) -> Tensor {
        let y = self.depthwise.relu(wide_nchw, Relu::Six, train).apply_t(&self.narrow, train);
        if self.residual { y + x_nchw } else { y }
    }
}

impl Buffers for Inverted {
    fn buffers(&self) -> Vec<Tensor> {
        self.widen.iter().chain([&self.depthwise, &self.narrow]).flat_map(Buffers::buffers).collect()
    }
}

/// UNet with MobileNetV2 as the encoder, transposed convolutions as the decoder, and the encoder's widened activations
/// as skips.
///
/// Maps `[N, C, H, W]` f32 of any height and width to logits `[N, K, H, W]`. Sizes that are no multiple of 32 are
/// padded at the right and the bottom by repeating the border, and the logits are cropped back.
#[derive(Debug)]
pub struct MobileNetV2UNet {
    stem: ConvNorm,
    blocks: Vec<Part<Inverted>>,
    ups: Vec<(ConvTranspose, nn::BatchNorm)>,
    head: ConvTranspose,
    encoder: EncoderConfig,
    dropout: f64,
    recompute: bool,
}

impl MobileNetV2UNet {
    /// Makes the network for images with `channels` channels and `classes` classes.
    pub fn new(path: &nn::Path, channels: i64, classes: i64, config: &MobileNetV2UNetConfig) -> Self {
        let scaled = |channels| scaled(channels, config.width_multiplier);
        let features = path / ENCODER / "features";
        let (first, mut inputs) = (&features / 0, scaled(32));
        let stem = strided(&(&first / 0), [channels, inputs], 3, 2, 1);
        let stem = ConvNorm::new(stem, norm(&(&first / 1), inputs));
        let (mut blocks, mut skips) = (Vec::new(), Vec::new());
        for [times, outputs, count, stride] in GROUPS {
            for number in 0..count {
                let (outputs, stride) = (scaled(outputs), if number == 0 { stride } else { 1 });
                let place = blocks.len() + 1;
                if SKIPS.contains(&place) {
                    skips.push(inputs * times);
                }
                blocks.push(Part::new(Inverted::new(&(&features / place), [inputs, outputs], times, stride)));
                inputs = outputs;
            }
        }
        let mut ups = Vec::new();
        for (level, outputs) in UP.into_iter().enumerate() {
            let path = path / format!("up{level}");
            ups.push((
                ConvTranspose::new(&(&path / "conv"), inputs, outputs, 3, false),
                norm(&(&path / "norm"), outputs),
            ));
            inputs = outputs + skips[skips.len() - 1 - level];
        }
        let head = ConvTranspose::new(&(path / "head"), inputs, classes, 3, true);
        let (dropout, recompute) = (config.common.dropout, config.common.recompute);
        Self { stem, blocks, ups, head, encoder: config.encoder.clone(), dropout, recompute }
    }

    fn logits(&self, x_nchw: &Tensor, train: bool) -> Tensor {
        let (encoding, again) = (self.encoder.trains(train), self.recompute && train);
        let mut x = self.stem.relu(x_nchw, Relu::Six, encoding);
        let mut skips = Vec::new();
        for (block, place) in self.blocks.iter().zip(1..) {
            x = if SKIPS.contains(&place) {
                // The widened activation is a skip, so it is kept in any case.
                let wide = block.run(again, [&x], move |block, [x]| block.widened(x, encoding));
                let narrow = block.run(again, [&x, &wide], move |block, [x, wide]| block.narrowed(x, wide, encoding));
                skips.push(wide);
                narrow
            } else {
                block.run(again, [&x], move |block, [x]| block.narrowed(x, &block.widened(x, encoding), encoding))
            };
        }
        for ((conv, norm), skip) in self.ups.iter().zip(skips.into_iter().rev()) {
            let up = norm_relu(x.apply(conv), norm, Relu::Plain, train);
            x = Tensor::cat(&[up, skip], 1);
        }
        dropout(x, self.dropout, train).apply(&self.head)
    }
}

impl ModuleT for MobileNetV2UNet {
    fn forward_t(&self, x_nchw: &Tensor, train: bool) -> Tensor {
        padded(x_nchw, 32, |x| self.logits(&x, train))
    }
}
