//! Precision of a network.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Kind;

/// Precision of convolutions and matrix products. Weights, BatchNorm statistics and the loss are f32 in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    Fp32,
    /// The same, but with products of 19 bits on a GPU that has TensorFloat-32 (Ampere and later). Elsewhere the same
    /// as `fp32`.
    Tf32,
    /// Brain floats: half the memory traffic, and much faster where the processor has instructions for them.
    Bf16,
    /// Half floats: for GPUs without bf16. The loss is scaled in training, so that gradients do not underflow.
    Fp16,
}

impl Precision {
    /// Returns true if gradients underflow unless the loss is scaled.
    pub fn needs_loss_scale(self) -> bool {
        self == Self::Fp16
    }

    /// Returns the kind in which convolutions and matrix products are computed, unless that is f32.
    pub(crate) fn narrow(self) -> Option<Kind> {
        match self {
            Self::Fp32 | Self::Tf32 => None,
            Self::Bf16 => Some(Kind::BFloat16),
            Self::Fp16 => Some(Kind::Half),
        }
    }
}
