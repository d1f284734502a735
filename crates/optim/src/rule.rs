//! The update rules and their options.

use contract::Invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Update rule of the weights.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[schemars(extend("x-resume" = "refuse"))]
pub enum Rule {
    /// Adam (Kingma & Ba, 2015); weight decay is added to the gradient.
    Adam(Adam),
    /// AdamW (Loshchilov & Hutter, 2019): Adam with weight decay applied to the weights, not to the gradient.
    AdamW(Adam),
    /// Stochastic gradient descent with momentum, as PyTorch computes it: `v = momentum * v + g; w -= lr * v`.
    Sgd(Sgd),
}

/// Options of Adam and AdamW. The defaults are those of Keras.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Adam {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Term added to the root of the bias-corrected second moment (as in PyTorch).
    pub epsilon: f64,
}

impl Default for Adam {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-7 }
    }
}

/// Options of SGD.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sgd {
    /// Decay of the velocity; 0 is plain gradient descent.
    pub momentum: f64,
    /// Nesterov's look-ahead; needs momentum.
    pub nesterov: bool,
}

impl Default for Rule {
    fn default() -> Self {
        Self::Adam(Adam::default())
    }
}

impl Rule {
    /// Checks the values; the error names the first invalid one.
    pub fn check(&self) -> Result<(), Invalid> {
        let share = |key: &str, value: f64| {
            Invalid::unless((0.0..1.0).contains(&value), key, || format!("must be in [0, 1), is {value}"))
        };
        match self {
            Self::Adam(adam) | Self::AdamW(adam) => {
                share("beta1", adam.beta1)?;
                share("beta2", adam.beta2)?;
                let epsilon = adam.epsilon;
                Invalid::unless(epsilon.is_finite() && epsilon > 0.0, "epsilon", || {
                    format!("must be above 0, is {epsilon}")
                })
            }
            Self::Sgd(sgd) => {
                share("momentum", sgd.momentum)?;
                Invalid::unless(!sgd.nesterov || sgd.momentum > 0.0, "nesterov", || {
                    "needs momentum above 0: set momentum, 0.9 for example".into()
                })
            }
        }
    }

    /// Returns the names of the tensors that the rule keeps for each parameter.
    pub(crate) fn slots(&self) -> &'static [&'static str] {
        match self {
            Self::Adam(_) | Self::AdamW(_) => &["first_moment", "second_moment"],
            Self::Sgd(sgd) if sgd.momentum > 0.0 => &["velocity"],
            Self::Sgd(_) => &[],
        }
    }
}
