//! Encoders and decoders by their names.

use crate::encoder::ENCODER;
use crate::segmenter::config::{Backbone, BackboneConfig, DecoderConfig, FpnConfig};
use crate::segmenter::decoder::Decoder;
use crate::segmenter::decoder::deeplab::DeeplabDecoder;
use crate::segmenter::decoder::fpn::FpnDecoder;
use crate::segmenter::decoder::pspnet::PspDecoder;
use crate::segmenter::decoder::segformer::SegformerDecoder;
use crate::segmenter::decoder::unet::UnetDecoder;
use crate::segmenter::decoder::unet_plus_plus::UnetPlusPlusDecoder;
use crate::segmenter::decoder::upernet::UperDecoder;
use crate::segmenter::encoder::convnext::{self, ConvNeXt};
use crate::segmenter::encoder::efficientnet::{
    EFFICIENTNET_B0, EFFICIENTNET_B1, EFFICIENTNET_B2, EFFICIENTNET_B3, EFFICIENTNET_B4, EFFICIENTNET_LITE0,
    EFFICIENTNET_LITE1, EFFICIENTNET_LITE2, EFFICIENTNET_V2_S, efficientnet,
};
use crate::segmenter::encoder::mit::{self, Mit};
use crate::segmenter::encoder::mobilenet_v2::mobilenet_v2;
use crate::segmenter::encoder::mobilenet_v3::{LARGE, SMALL, mobilenet_v3};
use crate::segmenter::encoder::resnet::{RESNET18, RESNET34, RESNET50, RESNET101, resnet};
use crate::segmenter::encoder::vit::{self, Style, Vit};
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
        Backbone::MobilenetV3Large => Box::new(mobilenet_v3(path, LARGE, settings)),
        Backbone::MobilenetV3Small => Box::new(mobilenet_v3(path, SMALL, settings)),
        Backbone::EfficientnetB0 => Box::new(efficientnet(path, &EFFICIENTNET_B0, settings)),
        Backbone::EfficientnetB1 => Box::new(efficientnet(path, &EFFICIENTNET_B1, settings)),
        Backbone::EfficientnetB2 => Box::new(efficientnet(path, &EFFICIENTNET_B2, settings)),
        Backbone::EfficientnetB3 => Box::new(efficientnet(path, &EFFICIENTNET_B3, settings)),
        Backbone::EfficientnetB4 => Box::new(efficientnet(path, &EFFICIENTNET_B4, settings)),
        Backbone::EfficientnetV2S => Box::new(efficientnet(path, &EFFICIENTNET_V2_S, settings)),
        Backbone::EfficientnetLite0 => Box::new(efficientnet(path, &EFFICIENTNET_LITE0, settings)),
        Backbone::EfficientnetLite1 => Box::new(efficientnet(path, &EFFICIENTNET_LITE1, settings)),
        Backbone::EfficientnetLite2 => Box::new(efficientnet(path, &EFFICIENTNET_LITE2, settings)),
        Backbone::ConvnextTiny => Box::new(ConvNeXt::new(path, convnext::Size::Tiny, settings)),
        Backbone::ConvnextSmall => Box::new(ConvNeXt::new(path, convnext::Size::Small, settings)),
        Backbone::MitB0 => Box::new(Mit::new(path, mit::Size::B0, settings)),
        Backbone::MitB1 => Box::new(Mit::new(path, mit::Size::B1, settings)),
        Backbone::MitB2 => Box::new(Mit::new(path, mit::Size::B2, settings)),
        Backbone::MitB3 => Box::new(Mit::new(path, mit::Size::B3, settings)),
        Backbone::VitSmallPatch14Dinov2 => Box::new(Vit::new(path, vit::Size::Small, Style::Dinov2, settings)),
        Backbone::VitBasePatch14Dinov2 => Box::new(Vit::new(path, vit::Size::Base, Style::Dinov2, settings)),
        Backbone::VitSmallPatch16Dinov3 => Box::new(Vit::new(path, vit::Size::Small, Style::Dinov3, settings)),
        Backbone::VitBasePatch16Dinov3 => Box::new(Vit::new(path, vit::Size::Base, Style::Dinov3, settings)),
    }
}

/// Makes the decoder at `path / "decoder"`, for feature maps of these levels.
pub(crate) fn decoder(path: &nn::Path, levels: &[Level], config: &DecoderConfig) -> Box<dyn Decoder> {
    let path = &(path / "decoder");
    match config {
        DecoderConfig::Unet(config) => {
            Box::new(UnetDecoder::new(path, levels, &config.channels, config.deep_supervision))
        }
        DecoderConfig::UnetPlusPlus(config) => Box::new(UnetPlusPlusDecoder::new(path, levels, &config.channels)),
        DecoderConfig::Fpn(FpnConfig { pyramid_channels, channels }) => {
            Box::new(FpnDecoder::new(path, levels, [*pyramid_channels, *channels]))
        }
        DecoderConfig::DeeplabV3Plus(config) => {
            Box::new(DeeplabDecoder::new(path, levels, config.channels, &config.rates))
        }
        DecoderConfig::Pspnet(config) => Box::new(PspDecoder::new(path, levels, config.channels)),
        DecoderConfig::Upernet(config) => Box::new(UperDecoder::new(path, levels, config.channels)),
        DecoderConfig::Segformer(config) => Box::new(SegformerDecoder::new(path, levels, config.channels)),
    }
}
