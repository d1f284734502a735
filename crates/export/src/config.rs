//! The `export` section of a configuration.

use crate::Tolerance;
use contract::Invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Kind;

/// Maximum number of samples on which ranges are measured.
const MOST: u64 = 10_000;

/// The saved network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("x-resume" = "safe"))]
pub struct Config {
    /// Saves the network of the best checkpoint when training ends, as `app export` does.
    pub at_end: bool,
    /// Formats to write.
    pub formats: Vec<Format>,
    /// Precision of the weights in `model.safetensors`.
    pub weights: Weights,
    /// Precision of the weights and activations in `model.onnx`; its input and its output are f32.
    pub onnx: Precision,
    /// Number of validation samples on which each format is compared with the live network.
    pub samples: u64,
    /// Number of training samples, drawn by `train.seed`, on which the ranges of `model.int8.onnx` are measured.
    pub int8_samples: u64,
    /// Largest fall of the mean IoU on all validation samples, from f32 to `model.int8.onnx`, with which that is
    /// published. 0.01 is one point of a hundred.
    pub int8_tolerance: f64,
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
    /// `model.int8.onnx`: convolutions and matrix products in 8 bits.
    Int8,
}

impl Format {
    /// Returns the name of its file.
    pub fn file(self) -> &'static str {
        match self {
            Self::TorchScript => "model.pt",
            Self::Onnx => "model.onnx",
            Self::Safetensors => "model.safetensors",
            Self::Int8 => "model.int8.onnx",
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

    /// Returns the tolerance for weights of this precision.
    pub fn tolerance(self) -> Tolerance {
        let share = match self {
            Self::Fp32 => 1e-3,
            Self::Fp16 => 1e-2,
            Self::Bf16 => 5e-2,
        };
        Tolerance { logits: share, classes: share }
    }
}

/// Precision that an ONNX file computes in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32 bits.
    #[default]
    Fp32,
    /// 16 bits, 11 of them significant; 32 for sums of many values and exponentials.
    Fp16,
}

impl Precision {
    /// Returns the tolerance for a file of this precision.
    pub fn tolerance(self) -> Tolerance {
        match self {
            Self::Fp32 => Tolerance { logits: 1e-3, classes: 1e-3 },
            Self::Fp16 => Tolerance { logits: 1e-2, classes: 1e-3 },
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        let formats = vec![Format::TorchScript, Format::Onnx, Format::Safetensors];
        Self {
            at_end: true,
            formats,
            weights: Weights::default(),
            onnx: Precision::default(),
            samples: 16,
            int8_samples: 64,
            int8_tolerance: 0.01,
        }
    }
}

impl Config {
    /// Refuses settings that cannot work.
    pub fn check(&self) -> Result<(), Invalid> {
        Invalid::unless(!self.formats.is_empty(), "formats", || "must name at least one".into())?;
        Invalid::unless(self.samples > 0, "samples", || "must be at least 1, is 0: nothing would be compared".into())?;
        Invalid::unless((1..=MOST).contains(&self.int8_samples), "int8_samples", || {
            format!("must be from 1 to {MOST}, is {}", self.int8_samples)
        })?;
        Invalid::unless((0.0..=1.0).contains(&self.int8_tolerance), "int8_tolerance", || {
            format!("must be from 0 to 1, is {}", self.int8_tolerance)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_refused_by_its_key() {
        let none = Config { formats: Vec::new(), ..Config::default() };
        assert_eq!(none.check().unwrap_err().key, "formats");
        let key = |config: Config| config.check().unwrap_err().key;
        assert_eq!(key(Config { samples: 0, ..Config::default() }), "samples");
        for samples in [0, 100_000] {
            assert_eq!(key(Config { int8_samples: samples, ..Config::default() }), "int8_samples");
        }
        for tolerance in [-0.1, 1.5, f64::NAN] {
            assert_eq!(key(Config { int8_tolerance: tolerance, ..Config::default() }), "int8_tolerance");
        }
        Config::default().check().unwrap();
    }
}
