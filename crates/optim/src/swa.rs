//! Stochastic weight averaging: an equal mean of the weights at the ends of the last epochs.

use crate::Anneal;
use contract::Invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Stochastic weight averaging (Izmailov et al., 2018), with the rates of PyTorch's `SWALR`. Validation and prediction
/// use the mean. BatchNorm's running statistics are averaged like the weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Swa {
    /// Number of epochs before the averaging. The weights at the end of each later epoch go into the mean.
    pub start_epoch: u64,
    /// Learning rate during the averaging; `null` leaves it to the schedule.
    #[serde(default)]
    pub learning_rate: Option<f64>,
    /// Number of epochs from the schedule's learning rate to this one.
    #[serde(default = "ten")]
    pub anneal_epochs: u64,
    /// Shape of this transition.
    #[serde(default)]
    pub anneal: Anneal,
}

fn ten() -> u64 {
    10
}

impl Swa {
    /// Checks the values; the error names the first invalid one.
    pub fn check(&self) -> Result<(), Invalid> {
        let rate = self.learning_rate.unwrap_or(1.0);
        Invalid::unless(rate.is_finite() && rate > 0.0, "learning_rate", || format!("must be above 0, is {rate}"))
    }

    /// Returns the learning rate of update number `update`, from 0, where the schedule plans `planned`.
    pub(crate) fn rate(&self, update: u64, updates_per_epoch: u64, planned: impl Fn(u64) -> f64) -> f64 {
        let start = self.start_epoch.saturating_mul(updates_per_epoch);
        let Some(rate) = self.learning_rate.filter(|_| update >= start) else { return planned(update) };
        let length = self.anneal_epochs.saturating_mul(updates_per_epoch);
        let t = if length == 0 { 1.0 } else { ((update - start) as f64 / length as f64).min(1.0) };
        self.anneal.between(planned(start), rate, t)
    }

    /// Returns true if the weights after `updates` updates go into the mean, and None if the averaging has not begun.
    pub(crate) fn takes(&self, updates: u64, updates_per_epoch: u64) -> Option<bool> {
        let begun = updates > self.start_epoch.saturating_mul(updates_per_epoch);
        begun.then(|| updates.is_multiple_of(updates_per_epoch.max(1)))
    }
}
