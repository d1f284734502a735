//! Configuration of a segmenter.

use crate::encoder::EncoderConfig;
use crate::{BatchNorm, Common};
use contract::Invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Any encoder with any decoder.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SegmenterConfig {
    /// The encoder.
    #[schemars(extend("x-resume" = "refuse"))]
    pub encoder: BackboneConfig,
    /// The decoder.
    #[schemars(extend("x-resume" = "refuse"))]
    pub decoder: DecoderConfig,
    /// Adds an auxiliary head in training: two convolutions of the encoder's second coarsest feature map. Its weight is
    /// `loss.auxiliary`.
    #[schemars(extend("x-resume" = "refuse"))]
    pub auxiliary: bool,
    /// Settings common to all networks.
    #[serde(flatten)]
    pub common: Common,
}

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

    /// Returns true if the architecture has no dilated variant.
    fn has_one_stride(self) -> bool {
        use Backbone as B;
        matches!(
            self,
            B::ConvnextTiny
                | B::ConvnextSmall
                | B::MitB0
                | B::MitB1
                | B::MitB2
                | B::MitB3
                | B::VitSmallPatch14Dinov2
                | B::VitBasePatch14Dinov2
                | B::VitSmallPatch16Dinov3
                | B::VitBasePatch16Dinov3
        )
    }
}

/// Decoder of a segmenter, named by the key `kind`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum DecoderConfig {
    /// UNet (Ronneberger, Fischer & Brox, 2015) as segmentation_models.pytorch has it.
    Unet(UnetDecoderConfig),
    /// PSPNet (Zhao et al., 2017): pyramid pooling of the coarsest map.
    Pspnet(PspnetDecoderConfig),
    /// UPerNet (Xiao et al., 2018): pyramid pooling and a feature pyramid.
    Upernet(UpernetDecoderConfig),
    /// SegFormer (Xie et al., 2021): a linear layer for each map.
    Segformer(SegformerDecoderConfig),
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

/// Decoder of PSPNet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PspnetDecoderConfig {
    /// Number of channels.
    #[schemars(extend("x-resume" = "refuse"))]
    pub channels: i64,
}

impl Default for PspnetDecoderConfig {
    fn default() -> Self {
        Self { channels: 512 }
    }
}

/// Decoder of UPerNet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UpernetDecoderConfig {
    /// Number of channels.
    #[schemars(extend("x-resume" = "refuse"))]
    pub channels: i64,
}

impl Default for UpernetDecoderConfig {
    fn default() -> Self {
        Self { channels: 256 }
    }
}

/// Decoder of SegFormer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SegformerDecoderConfig {
    /// Number of channels.
    #[schemars(extend("x-resume" = "refuse"))]
    pub channels: i64,
}

impl Default for SegformerDecoderConfig {
    fn default() -> Self {
        Self { channels: 256 }
    }
}

/// Maximum number of channels of a decoder's layer.
const MOST: i64 = 4096;

fn channels(key: &str, count: i64) -> Result<(), Invalid> {
    Invalid::unless((1..=MOST).contains(&count), key, || format!("must be from 1 to {MOST}, is {count}"))
}

impl SegmenterConfig {
    /// Refuses settings that cannot work.
    pub(crate) fn check(&self) -> Result<(), Invalid> {
        let BackboneConfig { name, output_stride, stochastic_depth, .. } = self.encoder;
        Invalid::unless([8, 16, 32].contains(&output_stride), "encoder.output_stride", || {
            format!("must be 8, 16 or 32, is {output_stride}")
        })?;
        Invalid::unless(output_stride == 32 || !name.has_one_stride(), "encoder.output_stride", || {
            format!("must be 32 with this encoder, is {output_stride}")
        })?;
        Invalid::unless((0.0..1.0).contains(&stochastic_depth), "encoder.stochastic_depth", || {
            format!("must be from 0 up to, but not including, 1, is {stochastic_depth}")
        })?;
        match &self.decoder {
            DecoderConfig::Unet(config) => {
                config.channels.iter().try_for_each(|&count| channels("decoder.channels", count))?;
                self.needs_stride(&[32], "unet")
            }
            DecoderConfig::Pspnet(config) => channels("decoder.channels", config.channels),
            DecoderConfig::Upernet(config) => channels("decoder.channels", config.channels),
            DecoderConfig::Segformer(config) => channels("decoder.channels", config.channels),
        }
    }

    /// Refuses an encoder whose output stride the decoder cannot read.
    fn needs_stride(&self, strides: &[i64], decoder: &str) -> Result<(), Invalid> {
        let stride = self.encoder.output_stride;
        Invalid::unless(strides.contains(&stride), "encoder.output_stride", || {
            let known: Vec<String> = strides.iter().map(ToString::to_string).collect();
            format!("must be {} with the decoder {decoder}, is {stride}", known.join(" or "))
        })
    }
}
