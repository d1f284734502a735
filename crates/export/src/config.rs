//! The `export` section of a configuration.

use contract::Invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Kind;

/// The saved network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("x-resume" = "safe"))]
pub struct Config {
    /// Saves the network of the best checkpoint when training ends, as `app export` does.
    pub at_end: bool,
    /// Formats to write.
    pub formats: Vec<Format>,
    /// Precision of the weights in `model.safetensors`; the other formats compute in f32 and store f32 weights.
    pub weights: Weights,
    /// Number of validation samples on which each format is compared with the live network.
    pub samples: u64,
}

/// A format of a saved network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// `model.pt`.
    TorchScript,
    /// `model.onnx`.
    Onnx,
    /// `model.safetensors`: weights only.
    Safetensors,
}

impl Format {
    /// Returns the name of its file.
    pub fn file(self) -> &'static str {
        match self {
            Self::TorchScript => "model.pt",
            Self::Onnx => "model.onnx",
            Self::Safetensors => "model.safetensors",
        }
    }
}

/// Precision of weights.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Weights {
    /// 32 bits.
    #[default]
    Fp32,
    /// 16 bits, 11 of them significant.
    Fp16,
    /// 16 bits, 8 of them significant.
    Bf16,
}

impl Weights {
    /// Returns libtorch's name for it.
    pub fn kind(self) -> Kind {
        match self {
            Self::Fp32 => Kind::Float,
            Self::Fp16 => Kind::Half,
            Self::Bf16 => Kind::BFloat16,
        }
    }

    /// Returns the tolerance for weights of this precision: the largest difference of two logits, relative to the
    /// largest logit, and the largest share of pixels that may change class.
    pub fn tolerance(self) -> f64 {
        match self {
            Self::Fp32 => 1e-3,
            Self::Fp16 => 1e-2,
            Self::Bf16 => 5e-2,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        let formats = vec![Format::TorchScript, Format::Onnx, Format::Safetensors];
        Self { at_end: true, formats, weights: Weights::default(), samples: 16 }
    }
}

impl Config {
    /// Refuses settings that cannot work.
    pub fn check(&self) -> Result<(), Invalid> {
        Invalid::unless(!self.formats.is_empty(), "formats", || "must name at least one".into())?;
        Invalid::unless(self.samples > 0, "samples", || "must be at least 1, is 0: nothing would be compared".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_refused_by_its_key() {
        let none = Config { formats: Vec::new(), ..Config::default() };
        assert_eq!(none.check().unwrap_err().key, "formats");
        assert_eq!(Config { samples: 0, ..Config::default() }.check().unwrap_err().key, "samples");
        Config::default().check().unwrap();
    }
}
