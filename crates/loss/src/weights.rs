//! Weights of classes: listed, or measured in the training data.

use contract::Invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Weight of each class in the losses of single pixels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a list of numbers, \"inverse\" or \"median\"")]
pub enum ClassWeights {
    /// In the order of the class ids.
    Listed(Vec<f64>),
    /// To be measured in the training data.
    Measured(Frequency),
}

/// Rule that makes weights from how often each class occurs in the training data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Frequency {
    /// One over the class's share of all pixels, and over the number of classes: the mean weight of a pixel is 1.
    Inverse,
    /// Median of the classes' frequencies over the class's own, where a frequency is the share of a class in the masks
    /// that show it (Eigen & Fergus, 2015).
    Median,
}

impl From<Vec<f64>> for ClassWeights {
    fn from(weights: Vec<f64>) -> Self {
        Self::Listed(weights)
    }
}

impl JsonSchema for ClassWeights {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ClassWeights".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A list in the order of the class ids, or measured in the training data: by `inverse` or \
                            `median` frequency.",
            "anyOf": [
                { "type": "string", "enum": ["inverse", "median"] },
                { "type": "array", "items": { "type": "number", "format": "double" } },
            ],
            "errorMessage": "expected a list of numbers, \"inverse\" or \"median\"",
        })
    }
}

impl ClassWeights {
    /// Returns the rule by which the weights are still to be measured.
    pub fn to_measure(&self) -> Option<Frequency> {
        match self {
            Self::Listed(_) => None,
            Self::Measured(rule) => Some(*rule),
        }
    }

    /// Checks weights for `classes` classes.
    pub(crate) fn check(&self, classes: usize) -> Result<(), Invalid> {
        let Self::Listed(weights) = self else { return Ok(()) };
        Invalid::unless(weights.len() == classes, "class_weights", || {
            format!("must hold one weight for each of the {classes} classes, holds {}", weights.len())
        })?;
        let good = weights.iter().all(|w| w.is_finite() && *w >= 0.0) && weights.iter().any(|w| *w > 0.0);
        Invalid::unless(good, "class_weights", || format!("must be 0 or more, one of them above 0; are {weights:?}"))
    }
}
