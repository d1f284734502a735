//! Configuration of a segmenter.

mod widths;

pub use widths::{PspnetConfig, SegformerConfig, UpernetConfig};

use crate::BatchNorm;
use crate::encoder::EncoderConfig;
use crate::segmenter::decoder::fpn::GROUPS as FPN_GROUPS;
use contract::Invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Encoder of a segmenter.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BackboneConfig {
    /// The architecture.
    #[schemars(extend("x-resume" = "refuse"))]
    pub name: Backbone,
    /// Freezes the encoder's weights.
    #[schemars(extend("x-resume" = "ask"))]
    pub frozen: bool,
    /// Statistics that its BatchNorm normalises with in training.
    #[schemars(extend("x-resume" = "ask"))]
    pub batch_norm: BatchNorm,
    /// Stride of the coarsest feature map: 32, or 16 or 8 by dilated convolutions.
    #[schemars(extend("x-resume" = "refuse"))]
    pub output_stride: i64,
    /// Probability that the last block is left out for a sample in training (stochastic depth); earlier blocks are left
    /// out less often. torchvision trained its EfficientNets with 0.2.
    #[schemars(extend("x-resume" = "ask"))]
    pub stochastic_depth: f64,
}

impl Default for BackboneConfig {
    fn default() -> Self {
        Self {
            name: Backbone::default(),
            frozen: false,
            batch_norm: BatchNorm::default(),
            output_stride: 32,
            stochastic_depth: 0.0,
        }
    }
}

impl BackboneConfig {
    /// Returns the settings of training that all networks with an encoder have.
    pub(crate) fn training(&self) -> EncoderConfig {
        EncoderConfig { frozen: self.frozen, batch_norm: self.batch_norm }
    }
}

/// Architecture of an encoder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Backbone {
    /// ResNet-18 (He et al., 2016).
    Resnet18,
    /// ResNet-34.
    #[default]
    Resnet34,
    /// ResNet-50.
    Resnet50,
    /// ResNet-101.
    Resnet101,
    /// MobileNetV2 (Sandler et al., 2018).
    MobilenetV2,
    /// MobileNetV3-Large (Howard et al., 2019).
    MobilenetV3Large,
    /// MobileNetV3-Small.
    MobilenetV3Small,
    /// EfficientNet-B0 (Tan & Le, 2019).
    EfficientnetB0,
    /// EfficientNet-B1.
    EfficientnetB1,
    /// EfficientNet-B2.
    EfficientnetB2,
    /// EfficientNet-B3.
    EfficientnetB3,
    /// EfficientNet-B4.
    EfficientnetB4,
    /// EfficientNetV2-S (Tan & Le, 2021).
    EfficientnetV2S,
    /// EfficientNet-Lite0, without squeeze-and-excitation.
    EfficientnetLite0,
    /// EfficientNet-Lite1.
    EfficientnetLite1,
    /// EfficientNet-Lite2.
    EfficientnetLite2,
    /// ConvNeXt-T (Liu et al., 2022).
    ConvnextTiny,
    /// ConvNeXt-S.
    ConvnextSmall,
    /// Mix transformer B0 of SegFormer (Xie et al., 2021).
    MitB0,
    /// Mix transformer B1.
    MitB1,
    /// Mix transformer B2.
    MitB2,
    /// Mix transformer B3.
    MitB3,
    /// Vision transformer S/14 of DINOv2 (Oquab et al., 2023).
    VitSmallPatch14Dinov2,
    /// Vision transformer B/14 of DINOv2.
    VitBasePatch14Dinov2,
    /// Vision transformer S/16 of DINOv3 (Siméoni et al., 2025).
    VitSmallPatch16Dinov3,
    /// Vision transformer B/16 of DINOv3.
    VitBasePatch16Dinov3,
}

impl Backbone {
    /// All architectures.
    pub const ALL: &[Self] = &[
        Self::Resnet18,
        Self::Resnet34,
        Self::Resnet50,
        Self::Resnet101,
        Self::MobilenetV2,
        Self::MobilenetV3Large,
        Self::MobilenetV3Small,
        Self::EfficientnetB0,
        Self::EfficientnetB1,
        Self::EfficientnetB2,
        Self::EfficientnetB3,
        Self::EfficientnetB4,
        Self::EfficientnetV2S,
        Self::EfficientnetLite0,
        Self::EfficientnetLite1,
        Self::EfficientnetLite2,
        Self::ConvnextTiny,
        Self::ConvnextSmall,
        Self::MitB0,
        Self::MitB1,
        Self::MitB2,
        Self::MitB3,
        Self::VitSmallPatch14Dinov2,
        Self::VitBasePatch14Dinov2,
        Self::VitSmallPatch16Dinov3,
        Self::VitBasePatch16Dinov3,
    ];

    /// Returns true if the architecture has a dilated variant.
    fn can_dilate(self) -> bool {
        use Backbone as B;
        let convnext = matches!(self, B::ConvnextTiny | B::ConvnextSmall);
        let mit = matches!(self, B::MitB0 | B::MitB1 | B::MitB2 | B::MitB3);
        let dinov2 = matches!(self, B::VitSmallPatch14Dinov2 | B::VitBasePatch14Dinov2);
        !(convnext || mit || dinov2 || matches!(self, B::VitSmallPatch16Dinov3 | B::VitBasePatch16Dinov3))
    }
}

/// Decoder of a segmenter, named by the key `kind`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[schemars(rename = "Decoder", extend("x-resume" = "refuse"))]
pub enum DecoderConfig {
    /// UNet (Ronneberger, Fischer & Brox, 2015) as segmentation_models.pytorch has it.
    Unet(UnetDecoderConfig),
    /// UNet++ (Zhou et al., 2018).
    UnetPlusPlus(UnetPlusPlusConfig),
    /// Feature pyramid network (Lin et al., 2017; Kirillov et al., 2019).
    Fpn(FpnConfig),
    /// DeepLabV3+ (Chen et al., 2018).
    DeeplabV3Plus(DeeplabConfig),
    /// PSPNet (Zhao et al., 2017).
    Pspnet(PspnetConfig),
    /// UPerNet (Xiao et al., 2018).
    Upernet(UpernetConfig),
    /// SegFormer (Xie et al., 2021).
    Segformer(SegformerConfig),
}

impl DecoderConfig {
    /// Returns all decoders, with their default settings.
    pub fn all() -> Vec<Self> {
        vec![
            Self::Unet(UnetDecoderConfig::default()),
            Self::UnetPlusPlus(UnetPlusPlusConfig::default()),
            Self::Fpn(FpnConfig::default()),
            Self::DeeplabV3Plus(DeeplabConfig::default()),
            Self::Pspnet(PspnetConfig::default()),
            Self::Upernet(UpernetConfig::default()),
            Self::Segformer(SegformerConfig::default()),
        ]
    }
}

impl Default for DecoderConfig {
    fn default() -> Self {
        Self::Unet(UnetDecoderConfig::default())
    }
}

/// Decoder of a UNet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UnetDecoderConfig {
    /// Number of channels of each step up, coarsest first.
    #[schemars(extend("x-resume" = "refuse"))]
    pub channels: [i64; 5],
    /// Adds a head to every step in training (deep supervision). Give their losses weights by `loss.auxiliary`:
    /// `halving`.
    #[schemars(extend("x-resume" = "refuse"))]
    pub deep_supervision: bool,
}

/// Channels of the steps up in segmentation_models.pytorch.
const UP: [i64; 5] = [256, 128, 64, 32, 16];

impl Default for UnetDecoderConfig {
    fn default() -> Self {
        Self { channels: UP, deep_supervision: false }
    }
}

/// Decoder of UNet++.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UnetPlusPlusConfig {
    /// Number of channels of each step up to the output, coarsest first.
    #[schemars(extend("x-resume" = "refuse"))]
    pub channels: [i64; 5],
}

impl Default for UnetPlusPlusConfig {
    fn default() -> Self {
        Self { channels: UP }
    }
}

/// Decoder of a feature pyramid network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FpnConfig {
    /// Number of channels of the pyramid.
    #[schemars(extend("x-resume" = "refuse"))]
    pub pyramid_channels: i64,
    /// Number of channels of the branches, a multiple of 32.
    #[schemars(extend("x-resume" = "refuse"))]
    pub channels: i64,
}

impl Default for FpnConfig {
    fn default() -> Self {
        Self { pyramid_channels: 256, channels: 128 }
    }
}

/// Decoder of DeepLabV3+.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DeeplabConfig {
    /// Number of channels.
    #[schemars(extend("x-resume" = "refuse"))]
    pub channels: i64,
    /// Dilation of the three atrous convolutions. (The paper has 6, 12 and 18 with `encoder.output_stride` 16.)
    #[schemars(extend("x-resume" = "refuse"))]
    pub rates: [i64; 3],
}

impl Default for DeeplabConfig {
    fn default() -> Self {
        Self { channels: 256, rates: [12, 24, 36] }
    }
}

/// Maximum number of channels of a decoder's layer.
const MOST: i64 = 4096;

fn channels(key: &str, count: i64) -> Result<(), Invalid> {
    Invalid::unless((1..=MOST).contains(&count), key, || format!("must be from 1 to {MOST}, is {count}"))
}

/// Encoder and decoder of a segmenter, and true if it has an auxiliary head.
pub(crate) struct Joined<'c> {
    pub encoder: &'c BackboneConfig,
    pub decoder: &'c DecoderConfig,
    pub auxiliary: bool,
}

impl Joined<'_> {
    /// Refuses settings that cannot work.
    pub(crate) fn check(&self) -> Result<(), Invalid> {
        let &BackboneConfig { name, output_stride, stochastic_depth, .. } = self.encoder;
        Invalid::unless([8, 16, 32].contains(&output_stride), "encoder.output_stride", || {
            format!("must be 8, 16 or 32, is {output_stride}")
        })?;
        Invalid::unless(output_stride == 32 || name.can_dilate(), "encoder.output_stride", || {
            format!("must be 32 with this encoder, is {output_stride}")
        })?;
        Invalid::unless((0.0..1.0).contains(&stochastic_depth), "encoder.stochastic_depth", || {
            format!("must be from 0 up to, but not including, 1, is {stochastic_depth}")
        })?;
        match self.decoder {
            DecoderConfig::Unet(config) => {
                Invalid::unless(!(self.auxiliary && config.deep_supervision), "auxiliary", || {
                    "cannot stand with decoder.deep_supervision: loss.auxiliary is one rule for all outputs".into()
                })?;
                config.channels.iter().try_for_each(|&count| channels("decoder.channels", count))?;
                self.needs_stride(32, "unet")
            }
            DecoderConfig::UnetPlusPlus(config) => {
                config.channels.iter().try_for_each(|&count| channels("decoder.channels", count))?;
                self.needs_stride(32, "unet_plus_plus")
            }
            DecoderConfig::Fpn(config) => {
                channels("decoder.pyramid_channels", config.pyramid_channels)?;
                channels("decoder.channels", config.channels)?;
                Invalid::unless(config.channels % FPN_GROUPS == 0, "decoder.channels", || {
                    format!("must be a multiple of {FPN_GROUPS}, is {}", config.channels)
                })
            }
            DecoderConfig::DeeplabV3Plus(config) => {
                channels("decoder.channels", config.channels)?;
                let all = config.rates.iter().all(|rate| (1..=256).contains(rate));
                Invalid::unless(all, "decoder.rates", || format!("must be from 1 to 256, are {:?}", config.rates))
            }
            DecoderConfig::Pspnet(config) => channels("decoder.channels", config.channels),
            DecoderConfig::Upernet(config) => channels("decoder.channels", config.channels),
            DecoderConfig::Segformer(config) => channels("decoder.channels", config.channels),
        }
    }

    /// Refuses an encoder whose output stride the decoder cannot read.
    fn needs_stride(&self, needed: i64, decoder: &str) -> Result<(), Invalid> {
        let stride = self.encoder.output_stride;
        Invalid::unless(stride == needed, "encoder.output_stride", || {
            format!("must be {needed} with the decoder {decoder}, is {stride}")
        })
    }
}
