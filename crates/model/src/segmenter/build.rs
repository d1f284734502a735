//! Encoders and decoders by their names.

use crate::encoder::ENCODER;
use crate::segmenter::config::{Backbone, BackboneConfig, DecoderConfig};
use crate::segmenter::decoder::Decoder;
use crate::segmenter::decoder::unet::UnetDecoder;
use crate::segmenter::encoder::mobilenet_v2::mobilenet_v2;
use crate::segmenter::encoder::resnet::{RESNET18, RESNET34, RESNET50, RESNET101, resnet};
use crate::segmenter::encoder::{Encoder, Level, Settings};
use tch::nn;

/// Makes the encoder at `path / "encoder"`, for images with `channels` channels.
pub(crate) fn encoder(path: &nn::Path, channels: i64, config: &BackboneConfig) -> Box<dyn Encoder> {
    let &BackboneConfig { name, batch_norm, output_stride, stochastic_depth, .. } = config;
    let settings = Settings { channels, output_stride, batch_norm, stochastic_depth };
    let path = &(path / ENCODER);
    match name {
        Backbone::Resnet18 => Box::new(resnet(path, RESNET18, settings)),
        Backbone::Resnet34 => Box::new(resnet(path, RESNET34, settings)),
        Backbone::Resnet50 => Box::new(resnet(path, RESNET50, settings)),
        Backbone::Resnet101 => Box::new(resnet(path, RESNET101, settings)),
        Backbone::MobilenetV2 => Box::new(mobilenet_v2(path, settings)),
    }
}

/// Makes the decoder at `path / "decoder"`, for feature maps of these levels.
pub(crate) fn decoder(path: &nn::Path, levels: &[Level], config: &DecoderConfig) -> Box<dyn Decoder> {
    let path = &(path / "decoder");
    match config {
        DecoderConfig::Unet(config) => {
            Box::new(UnetDecoder::new(path, levels, &config.channels, config.deep_supervision))
        }
    }
}
