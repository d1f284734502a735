//! A term of the sum of losses, as a configuration names it.

use crate::{BinaryCrossEntropy, Boundary, Dice, Focal, Lovasz, Ohem, Tversky};
use contract::{Invalid, Loss};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// A loss with its weight in the sum, named by its key `kind`. With `per_image`, it is the mean of the losses of the
/// images, not one loss over all pixels of a batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Term {
    /// Focal loss: the cross entropy of each pixel times `(1 - p)^gamma` (Lin et al., 2017).
    Focal {
        /// Weight in the sum.
        #[serde(default = "one")]
        weight: f64,
        /// Exponent; the higher, the less do pixels count that are right already.
        #[serde(default = "two")]
        gamma: f64,
        /// Binary cross entropy of each class against all others in place of the softmax's, as in the paper.
        #[serde(default)]
        sigmoid: bool,
        /// With `sigmoid`: weight of a pixel's own class, from 0 to 1, where the others have the rest; null weighs all
        /// as 1. The paper has 0.25.
        #[serde(default)]
        alpha: Option<f64>,
    },
    /// Binary cross entropy of each class against all others.
    BinaryCrossEntropy {
        /// Weight in the sum.
        #[serde(default = "one")]
        weight: f64,
    },
    /// Cross entropy of the hard pixels of each image (online hard example mining).
    Ohem {
        /// Weight in the sum.
        #[serde(default = "one")]
        weight: f64,
        /// Probability of its class below which a pixel is hard, from 0 to 1.
        #[serde(default = "threshold")]
        threshold: f64,
        /// Minimum share of the valid pixels of an image that count as hard, from 0 to 1.
        #[serde(default = "sixteenth")]
        min_kept: f64,
    },
    /// Soft Dice loss.
    Dice {
        /// Weight in the sum.
        #[serde(default = "one")]
        weight: f64,
        /// Smoothing, in pixels.
        #[serde(default = "one")]
        smooth: f64,
        /// Mean of the losses of the images.
        #[serde(default)]
        per_image: bool,
    },
    /// Tversky loss (Salehi et al., 2017); focal with a `gamma` other than 1 (Abraham & Khan, 2018).
    Tversky {
        /// Weight in the sum.
        #[serde(default = "one")]
        weight: f64,
        /// Weight of false positives.
        #[serde(default = "alpha")]
        alpha: f64,
        /// Weight of false negatives.
        #[serde(default = "beta")]
        beta: f64,
        /// Exponent of the loss of a class; the paper's 4/3 is 0.75 here.
        #[serde(default = "one")]
        gamma: f64,
        /// Smoothing, in pixels.
        #[serde(default = "one")]
        smooth: f64,
        /// Mean of the losses of the images.
        #[serde(default)]
        per_image: bool,
    },
    /// Soft Jaccard loss.
    Jaccard {
        /// Weight in the sum.
        #[serde(default = "one")]
        weight: f64,
        /// Smoothing, in pixels.
        #[serde(default = "one")]
        smooth: f64,
        /// Mean of the losses of the images.
        #[serde(default)]
        per_image: bool,
    },
    /// Lovász loss, a surrogate of the Jaccard index (Berman et al., 2018).
    Lovasz {
        /// Weight in the sum.
        #[serde(default = "one")]
        weight: f64,
        /// Hinge errors of each class against all others, in place of those of the softmax.
        #[serde(default)]
        hinge: bool,
        /// Mean of the losses of the images; several processes can train no other.
        #[serde(default)]
        per_image: bool,
    },
    /// Boundary loss: the softmax times the signed distance to the boundary in pixels (Kervadec et al., 2019). Adds to
    /// others, with a small weight.
    Boundary {
        /// Weight in the sum.
        #[serde(default = "one")]
        weight: f64,
    },
}

fn one() -> f64 {
    1.0
}

fn two() -> f64 {
    2.0
}

fn threshold() -> f64 {
    0.7
}

fn sixteenth() -> f64 {
    0.0625
}

fn alpha() -> f64 {
    0.3
}

fn beta() -> f64 {
    0.7
}

impl Term {
    /// Returns the weight in the sum.
    pub fn weight(&self) -> f64 {
        match self {
            Self::Focal { weight, .. }
            | Self::BinaryCrossEntropy { weight }
            | Self::Ohem { weight, .. }
            | Self::Dice { weight, .. }
            | Self::Tversky { weight, .. }
            | Self::Jaccard { weight, .. }
            | Self::Lovasz { weight, .. }
            | Self::Boundary { weight } => *weight,
        }
    }

    /// Returns true if the loss is a mean over pixels that class weights apply to.
    pub(crate) fn takes_class_weights(&self) -> bool {
        matches!(self, Self::Focal { .. } | Self::BinaryCrossEntropy { .. } | Self::Ohem { .. })
    }

    /// Checks the values; keys are relative to the term.
    pub(crate) fn check(&self) -> Result<(), Invalid> {
        let least = |key: &str, value: f64| {
            Invalid::unless(value.is_finite() && value >= 0.0, key, || format!("must be 0 or more, is {value}"))
        };
        let share = |key: &str, value: f64| {
            Invalid::unless((0.0..=1.0).contains(&value), key, || format!("must be from 0 to 1, is {value}"))
        };
        least("weight", self.weight())?;
        match *self {
            Self::Focal { gamma, sigmoid, alpha, .. } => {
                least("gamma", gamma)?;
                alpha.map_or(Ok(()), |alpha| share("alpha", alpha))?;
                Invalid::unless(sigmoid || alpha.is_none(), "alpha", || {
                    "weighs one class against the others: set sigmoid to true, or use class_weights".into()
                })
            }
            Self::Ohem { threshold, min_kept, .. } => {
                share("threshold", threshold)?;
                share("min_kept", min_kept)?;
                Invalid::unless(threshold + min_kept > 0.0, "threshold", || {
                    "is 0 and so is min_kept: no pixel would count; set one of them above 0".into()
                })
            }
            Self::Dice { smooth, .. } | Self::Jaccard { smooth, .. } => least("smooth", smooth),
            Self::Tversky { alpha, beta, gamma, smooth, .. } => {
                least("alpha", alpha)?;
                least("beta", beta)?;
                least("smooth", smooth)?;
                Invalid::unless(gamma.is_finite() && gamma > 0.0, "gamma", || format!("must be above 0, is {gamma}"))
            }
            Self::BinaryCrossEntropy { .. } | Self::Lovasz { .. } | Self::Boundary { .. } => Ok(()),
        }
    }

    /// Builds the loss, with class weights on the model's device.
    pub(crate) fn build(&self, class_weights: Option<&Tensor>) -> Box<dyn Loss> {
        let class_weights = class_weights.map(Tensor::shallow_clone);
        match *self {
            Self::Focal { gamma, sigmoid: true, alpha, .. } => {
                Box::new(BinaryCrossEntropy { gamma, alpha, class_weights })
            }
            Self::Focal { gamma, .. } => Box::new(Focal { gamma, class_weights }),
            Self::BinaryCrossEntropy { .. } => {
                Box::new(BinaryCrossEntropy { class_weights, ..BinaryCrossEntropy::default() })
            }
            Self::Ohem { threshold, min_kept, .. } => Box::new(Ohem { threshold, min_kept, class_weights }),
            Self::Dice { smooth, per_image: false, .. } => Box::new(Dice { smooth }),
            // (2 tp + s) / (2 tp + fp + fn + s)
            Self::Dice { smooth, per_image: true, .. } => {
                Box::new(Tversky { alpha: 0.5, beta: 0.5, gamma: 1.0, smooth: smooth / 2.0, per_image: true })
            }
            Self::Tversky { alpha, beta, gamma, smooth, per_image, .. } => {
                Box::new(Tversky { alpha, beta, gamma, smooth, per_image })
            }
            Self::Jaccard { smooth, per_image, .. } => {
                Box::new(Tversky { alpha: 1.0, beta: 1.0, gamma: 1.0, smooth, per_image })
            }
            Self::Lovasz { hinge, per_image, .. } => Box::new(Lovasz { hinge, per_image }),
            Self::Boundary { .. } => Box::new(Boundary),
        }
    }
}
