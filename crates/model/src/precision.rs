//! Precision of a network.

use contract::TorchError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use tch::{Device, Kind};

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
    /// Chosen by the device: `bf16` on a GPU that has it, else `fp32`. A training records the choice and keeps it when
    /// it resumes.
    Auto,
}

impl fmt::Display for Precision {
    /// Writes the name that configurations have for it.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Fp32 => "fp32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
            Self::Fp16 => "fp16",
            Self::Auto => "auto",
        })
    }
}

/// Least compute capability of GPUs that compute in bf16: Ampere's.
const WITH_BF16: u32 = 8;

impl Precision {
    /// Returns the precision that this means on `device`: another one only for [`Auto`](Self::Auto).
    ///
    /// # Errors
    ///
    /// Fails if there is no such device.
    pub fn on(self, device: Device) -> Result<Self, TorchError> {
        match self {
            Self::Auto => Ok(Self::by(torch_ext::Gpu::of(device)?.and_then(|gpu| gpu.capability).as_deref())),
            chosen => Ok(chosen),
        }
    }

    /// Chooses by the compute capability of a GPU, such as `9.0`; a CPU has none.
    fn by(capability: Option<&str>) -> Self {
        let major = capability.and_then(|number| number.split('.').next()?.parse::<u32>().ok());
        if major.is_some_and(|major| major >= WITH_BF16) { Self::Bf16 } else { Self::Fp32 }
    }

    /// Returns true if gradients underflow unless the loss is scaled.
    pub fn needs_loss_scale(self) -> bool {
        self == Self::Fp16
    }

    /// Returns the kind in which convolutions and matrix products are computed, unless that is f32.
    pub(crate) fn narrow(self) -> Option<Kind> {
        match self {
            Self::Fp32 | Self::Tf32 | Self::Auto => None,
            Self::Bf16 => Some(Kind::BFloat16),
            Self::Fp16 => Some(Kind::Half),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_with_bf16_computes_in_it_and_all_else_in_fp32() {
        for (capability, expected) in [("9.0", Precision::Bf16), ("10.3", Precision::Bf16), ("8.0", Precision::Bf16)] {
            assert_eq!(Precision::by(Some(capability)), expected, "{capability}");
        }
        for capability in [Some("7.5"), Some("unknown"), None] {
            assert_eq!(Precision::by(capability), Precision::Fp32, "{capability:?}");
        }
        assert_eq!(Precision::Auto.on(Device::Cpu).unwrap(), Precision::Fp32);
        assert!(Precision::Auto.on(Device::Cuda(120)).is_err());
        assert_eq!(Precision::Fp16.on(Device::Cuda(120)).unwrap(), Precision::Fp16, "it is not looked at");
    }

    #[test]
    fn names_are_those_of_configurations() {
        use Precision::{Auto, Bf16, Fp16, Fp32, Tf32};
        for precision in [Fp32, Tf32, Bf16, Fp16, Auto] {
            assert_eq!(serde_json::to_value(precision).unwrap(), precision.to_string());
        }
    }
}
