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
    /// RAdam (Liu et al., 2020), as PyTorch computes it: Adam whose rate is rectified while its second moment rests on
    /// few steps.
    RAdam(RAdam),
    /// Lion (Chen et al., 2023): the sign of the momentum, with weight decay applied to the weights. Its learning rate
    /// is 3 to 10 times smaller than AdamW's.
    Lion(Lion),
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

/// Options of RAdam, with the defaults of PyTorch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RAdam {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Term added to the root of the second moment.
    pub epsilon: f64,
    /// Applies weight decay to the weights, as AdamW does, not to the gradient.
    pub decoupled_weight_decay: bool,
}

impl Default for RAdam {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, decoupled_weight_decay: false }
    }
}

/// Options of Lion. The defaults are those of its authors.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Lion {
    /// Share of the momentum in the sign of an update.
    pub beta1: f64,
    /// Decay of the momentum.
    pub beta2: f64,
}

impl Default for Lion {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.99 }
    }
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
        let moments = |beta1, beta2, epsilon: f64| {
            share("beta1", beta1)?;
            share("beta2", beta2)?;
            let fits = epsilon.is_finite() && epsilon > 0.0;
            Invalid::unless(fits, "epsilon", || format!("must be above 0, is {epsilon}"))
        };
        match self {
            Self::Adam(adam) | Self::AdamW(adam) => moments(adam.beta1, adam.beta2, adam.epsilon),
            Self::RAdam(adam) => moments(adam.beta1, adam.beta2, adam.epsilon),
            Self::Lion(lion) => moments(lion.beta1, lion.beta2, 1.0),
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
            Self::Adam(_) | Self::AdamW(_) | Self::RAdam(_) => &["first_moment", "second_moment"],
            Self::Lion(_) => &["momentum"],
            Self::Sgd(sgd) if sgd.momentum > 0.0 => &["velocity"],
            Self::Sgd(_) => &[],
        }
    }
}
