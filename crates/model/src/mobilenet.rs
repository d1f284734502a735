//! A UNet with a MobileNetV2 encoder (Sandler et al., 2018) and the decoder of TensorFlow's tutorial on segmentation.
//!
//! The encoder's variables have torchvision's names below `encoder`.

use crate::MobileNetV2UNetConfig;
use crate::blocks::{ConvTranspose, Norm, dropout, norm, norm_relu, padded};
use crate::encoder::{ENCODER, EncoderConfig};
use crate::part::Part;
use crate::segmenter::encoder::mobilenet_v2::{GROUPS, block, scaled, stem};
use crate::units::{Block, Inverted, Unit};
use tch::Tensor;
use tch::nn::{self, ModuleT};
use torch_ext::Relu;

/// Blocks whose widened activations are the skips at 1/2, 1/4, 1/8 and 1/16; the first convolution counts as 0.
const SKIPS: [usize; 4] = [2, 4, 7, 14];

/// Channels of the decoder's steps, deepest first.
const UP: [i64; 4] = [512, 256, 128, 64];

/// UNet with MobileNetV2 as the encoder, transposed convolutions as the decoder, and the encoder's widened activations
/// as skips.
///
/// Maps `[N, C, H, W]` f32 of any height and width to logits `[N, K, H, W]`. Sizes that are no multiple of 32 are
/// padded at the right and the bottom by repeating the border, and the logits are cropped back.
#[derive(Debug)]
pub struct MobileNetV2UNet {
    stem: Unit,
    blocks: Vec<Part<Inverted>>,
    ups: Vec<(ConvTranspose, Norm)>,
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
        let mut inputs = scaled(32);
        let stem = stem(&features, [channels, inputs]);
        let (mut blocks, mut skips) = (Vec::new(), Vec::new());
        for [times, outputs, count, stride] in GROUPS {
            for number in 0..count {
                let (outputs, stride) = (scaled(outputs), if number == 0 { stride } else { 1 });
                let place = blocks.len() + 1;
                if SKIPS.contains(&place) {
                    skips.push(inputs * times);
                }
                blocks.push(Part::new(block(&(&features / place), [inputs, outputs], times, [stride, 1])));
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
        Self { stem, blocks, ups, head, encoder: config.encoder, dropout, recompute }
    }

    fn logits(&self, x_nchw: &Tensor, train: bool) -> Tensor {
        let (encoding, again) = (self.encoder.batch_norm.trains(train), self.recompute && train);
        let mut x = x_nchw.apply_t(&self.stem, encoding);
        let mut skips = Vec::new();
        for (block, place) in self.blocks.iter().zip(1..) {
            x = if SKIPS.contains(&place) {
                // The widened activation is a skip, so it is kept in any case.
                let wide = block.run(again, [&x], move |block, [x]| block.widened(x, encoding));
                let narrow =
                    block.run(again, [&x, &wide], move |block, [x, wide]| block.narrowed(x, wide, None, encoding));
                skips.push(wide);
                narrow
            } else {
                block.run(again, [&x], move |block, [x]| block.run(x, None, encoding))
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
