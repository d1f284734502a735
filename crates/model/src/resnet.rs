//! A UNet with a ResNet encoder (He et al., 2016) and the decoder of segmentation_models.pytorch.
//!
//! The encoder's variables have torchvision's names under `encoder`. Together, all variables have the names of
//! segmentation_models.pytorch's `Unet`.

use crate::blocks::{Conv, conv, dropout, padded};
use crate::encoder::ENCODER;
use crate::segmenter::decoder::Decoder;
use crate::segmenter::decoder::unet::UnetDecoder;
use crate::segmenter::encoder::resnet::{RESNET18, RESNET34, RESNET50, resnet};
use crate::segmenter::encoder::{Encoder, Settings, Staged};
use crate::{Layers, ResNetUNetConfig};
use tch::Tensor;
use tch::nn::{self, ModuleT};

/// Channels of the decoder's steps, deepest first.
const UP: [i64; 5] = [256, 128, 64, 32, 16];

/// UNet with ResNet as the encoder, nearest-neighbour upsampling and convolutions as the decoder, and the encoder's
/// activations as skips.
///
/// Maps `[N, C, H, W]` f32 of any height and width to logits `[N, K, H, W]`. Sizes that are no multiple of 32 are
/// padded at the right and the bottom by repeating the border, and the logits are cropped back.
#[derive(Debug)]
pub struct ResNetUNet {
    encoder: Staged,
    decoder: UnetDecoder,
    head: Conv,
    dropout: f64,
    recompute: bool,
}

impl ResNetUNet {
    /// Makes the network for images with `channels` channels and `classes` classes.
    pub fn new(path: &nn::Path, channels: i64, classes: i64, config: &ResNetUNetConfig) -> Self {
        let depths = match config.layers {
            Layers::Eighteen => RESNET18,
            Layers::ThirtyFour => RESNET34,
            Layers::Fifty => RESNET50,
        };
        let batch_norm = config.encoder.batch_norm;
        let settings = Settings { channels, output_stride: 32, batch_norm, stochastic_depth: 0.0 };
        let encoder = resnet(&(path / ENCODER), depths, settings);
        let decoder = UnetDecoder::new(&(path / "decoder"), encoder.levels(), &UP, false);
        let head = conv(&(path / "segmentation_head" / 0), UP[UP.len() - 1], classes, 3, true);
        let (dropout, recompute) = (config.common.dropout, config.common.recompute);
        Self { encoder, decoder, head, dropout, recompute }
    }

    fn logits(&self, x_nchw: &Tensor, train: bool) -> Tensor {
        let features = self.encoder.encode(x_nchw, train, self.recompute);
        let maps = self.decoder.decode(features, train, self.recompute);
        dropout(maps[0].shallow_clone(), self.dropout, train).apply(&self.head)
    }
}

impl ModuleT for ResNetUNet {
    fn forward_t(&self, x_nchw: &Tensor, train: bool) -> Tensor {
        padded(x_nchw, 32, |x| self.logits(&x, train))
    }
}
