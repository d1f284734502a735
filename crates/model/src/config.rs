//! The `model` section of a configuration.

use crate::encoder::EncoderConfig;
use crate::named::Weights;
use crate::segmenter::config::{BackboneConfig, DecoderConfig, Joined};
use crate::{Fused, Precision};
use contract::Invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Maximum number of channels of a layer. A convolution between two layers of this width takes 10 GB.
const MOST_CHANNELS: i64 = 16_384;

/// The network, named by the key `kind`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[schemars(rename = "Model", extend("x-resume" = "refuse"))]
pub enum Config {
    /// The classic UNet, trained from scratch.
    Unet(UNetConfig),
    /// A UNet with a MobileNetV2 encoder.
    MobilenetV2Unet(MobileNetV2UNetConfig),
    /// A UNet with a ResNet encoder.
    ResnetUnet(ResNetUNetConfig),
    /// Any encoder with any decoder.
    Segmenter(SegmenterConfig),
}

/// Settings common to all networks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Common {
    /// Share of channels dropped in training before the last layer (in the classic UNet also at the bottom).
    #[schemars(extend("x-resume" = "ask"))]
    pub dropout: f64,
    /// Precision of convolutions.
    #[schemars(extend("x-resume" = "ask"))]
    pub precision: Precision,
    /// Kernels used on a CPU: ours where they are faster on this processor (`auto`), ours wherever it has the
    /// instructions for them (`on`), or only libtorch's (`off`).
    #[schemars(extend("x-resume" = "ask"))]
    pub fused: Fused,
    /// Recomputes the activations within a block in the backward pass instead of keeping them, for inputs that memory
    /// is too small for. Results stay the same, except for the last bits of gradients that are summed in another order.
    #[schemars(extend("x-resume" = "ask"))]
    pub recompute: bool,
    /// Weights to start from: published ones of the encoder by name (`imagenet`), or those of a file. Without them,
    /// weights are initialised at random.
    #[schemars(extend("x-resume" = "safe"))]
    pub weights: Option<Weights>,
}

impl Default for Common {
    fn default() -> Self {
        Self { dropout: 0.0, precision: Precision::default(), fused: Fused::Auto, recompute: false, weights: None }
    }
}

/// The classic UNet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UNetConfig {
    /// Number of channels at full size; each step down doubles it.
    #[schemars(extend("x-resume" = "refuse"))]
    pub width: i64,
    /// Number of steps down (and up again).
    #[schemars(extend("x-resume" = "refuse"))]
    pub depth: i64,
    /// Method of doubling height and width on the way up.
    #[schemars(extend("x-resume" = "refuse"))]
    pub upsampling: Upsampling,
    /// Block between two steps.
    #[schemars(extend("x-resume" = "refuse"))]
    pub block: Block,
    /// Enables attention gates, which decide how much of each skip connection is let through.
    #[schemars(extend("x-resume" = "refuse"))]
    pub attention: bool,
    /// Settings common to all networks.
    #[serde(flatten)]
    pub common: Common,
}

/// Method of doubling height and width.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Upsampling {
    /// A learned transposed convolution 2×2 with stride 2.
    #[default]
    Transposed,
    /// A convolution 1×1 and bilinear interpolation.
    Bilinear,
}

/// Block between two steps: two convolutions 3×3, each with BatchNorm and ReLU.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Block {
    /// Only the two convolutions.
    #[default]
    Plain,
    /// Adds a convolution 1×1 of the block's input before the last ReLU.
    Residual,
}

/// A UNet with a MobileNetV2 encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MobileNetV2UNetConfig {
    /// Multiplier on the encoder's channels; 1 gives those of the paper.
    #[schemars(extend("x-resume" = "refuse"))]
    pub width_multiplier: f64,
    /// Settings of the encoder in training.
    #[schemars(extend("x-resume" = "ask"))]
    pub encoder: EncoderConfig,
    /// Settings common to all networks.
    #[serde(flatten)]
    pub common: Common,
}

/// A UNet with a ResNet encoder.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ResNetUNetConfig {
    /// Number of layers of the encoder: 18, 34 or 50.
    #[schemars(extend("x-resume" = "refuse"))]
    pub layers: Layers,
    /// Settings of the encoder in training.
    #[schemars(extend("x-resume" = "ask"))]
    pub encoder: EncoderConfig,
    /// Settings common to all networks.
    #[serde(flatten)]
    pub common: Common,
}

/// Any encoder with any decoder.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SegmenterConfig {
    /// The encoder.
    pub encoder: BackboneConfig,
    /// The decoder.
    pub decoder: DecoderConfig,
    /// Adds an auxiliary head in training: two convolutions of the encoder's second coarsest feature map. Its weight is
    /// `loss.auxiliary`.
    #[schemars(extend("x-resume" = "refuse"))]
    pub auxiliary: bool,
    /// Settings common to all networks.
    #[serde(flatten)]
    pub common: Common,
}

/// Depth of a ResNet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum Layers {
    /// ResNet-18.
    Eighteen,
    /// ResNet-34.
    #[default]
    ThirtyFour,
    /// ResNet-50, with bottleneck blocks.
    Fifty,
}

impl TryFrom<u8> for Layers {
    type Error = String;

    fn try_from(layers: u8) -> Result<Self, String> {
        match layers {
            18 => Ok(Self::Eighteen),
            34 => Ok(Self::ThirtyFour),
            50 => Ok(Self::Fifty),
            other => Err(format!("expected 18, 34 or 50 layers, not {other}")),
        }
    }
}

impl From<Layers> for u8 {
    fn from(layers: Layers) -> Self {
        match layers {
            Layers::Eighteen => 18,
            Layers::ThirtyFour => 34,
            Layers::Fifty => 50,
        }
    }
}

impl JsonSchema for Layers {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Layers".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "enum": [18, 34, 50] })
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::Unet(UNetConfig::default())
    }
}

impl Default for UNetConfig {
    fn default() -> Self {
        Self {
            width: 32,
            depth: 4,
            upsampling: Upsampling::default(),
            block: Block::default(),
            attention: false,
            common: Common::default(),
        }
    }
}

impl Default for MobileNetV2UNetConfig {
    fn default() -> Self {
        Self { width_multiplier: 1.0, encoder: EncoderConfig::default(), common: Common::default() }
    }
}

impl SegmenterConfig {
    /// Refuses settings that cannot work.
    pub(crate) fn check(&self) -> Result<(), Invalid> {
        let Self { encoder, decoder, auxiliary, .. } = self;
        Joined { encoder, decoder, auxiliary: *auxiliary }.check()
    }
}

impl Config {
    /// Refuses settings that cannot work.
    pub fn check(&self) -> Result<(), Invalid> {
        let within = |key: &str, value: i64, low: i64, high: i64| {
            Invalid::unless((low..=high).contains(&value), key, || format!("must be from {low} to {high}, is {value}"))
        };
        match self {
            Self::Unet(config) => {
                within("width", config.width, 1, 1024)?;
                within("depth", config.depth, 1, 8)?;
                let channels = config.width << config.depth;
                Invalid::unless(channels <= MOST_CHANNELS, "width", || {
                    let (width, depth) = (config.width, config.depth);
                    format!("{width} doubled {depth} times is {channels} channels, more than {MOST_CHANNELS}")
                })?;
            }
            Self::MobilenetV2Unet(config) => {
                let multiplier = config.width_multiplier;
                Invalid::unless((0.1..=4.0).contains(&multiplier), "width_multiplier", || {
                    format!("must be from 0.1 to 4, is {multiplier}")
                })?;
            }
            Self::ResnetUnet(_) => {}
            Self::Segmenter(config) => config.check()?,
        }
        let Common { dropout, weights, .. } = self.common();
        Invalid::unless((0.0..1.0).contains(dropout), "dropout", || {
            format!("must be from 0 up to, but not including, 1, is {dropout}")
        })?;
        self.published()?;
        let encoder_only = matches!(weights, Some(Weights::Stored(stored)) if stored.encoder_only);
        Invalid::unless(!encoder_only || self.encoder().is_some(), "weights.encoder_only", || {
            "is for networks with an encoder from elsewhere: segmenter, mobilenet_v2_unet and resnet_unet".into()
        })
    }

    /// Returns the settings common to all networks.
    pub fn common(&self) -> &Common {
        match self {
            Self::Unet(config) => &config.common,
            Self::MobilenetV2Unet(config) => &config.common,
            Self::ResnetUnet(config) => &config.common,
            Self::Segmenter(config) => &config.common,
        }
    }

    pub(crate) fn encoder(&self) -> Option<EncoderConfig> {
        match self {
            Self::Unet(_) => None,
            Self::MobilenetV2Unet(config) => Some(config.encoder),
            Self::ResnetUnet(config) => Some(config.encoder),
            Self::Segmenter(config) => Some(config.encoder.training()),
        }
    }
}

#[cfg(test)]
mod tests;
