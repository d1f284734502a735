//! Configurations of decoders of which only the width is chosen.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Decoder of PSPNet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PspnetConfig {
    /// Number of channels.
    #[schemars(extend("x-resume" = "refuse"))]
    pub channels: i64,
}

impl Default for PspnetConfig {
    /// Returns the width of segmentation_models.pytorch.
    fn default() -> Self {
        Self { channels: 512 }
    }
}

/// Decoder of UPerNet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UpernetConfig {
    /// Number of channels.
    #[schemars(extend("x-resume" = "refuse"))]
    pub channels: i64,
}

impl Default for UpernetConfig {
    /// Returns the width of segmentation_models.pytorch.
    fn default() -> Self {
        Self { channels: 256 }
    }
}

/// Decoder of SegFormer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SegformerConfig {
    /// Number of channels.
    #[schemars(extend("x-resume" = "refuse"))]
    pub channels: i64,
}

impl Default for SegformerConfig {
    /// Returns the width of segmentation_models.pytorch.
    fn default() -> Self {
        Self { channels: 256 }
    }
}
