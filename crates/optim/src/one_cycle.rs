//! The one-cycle schedule: up to the full learning rate, and down far below the first one.

use contract::Invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// Options of [`Decay::OneCycle`](crate::Decay::OneCycle), with the names and defaults of PyTorch's `OneCycleLR`.
/// Momentum stays as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OneCycle {
    /// Share of the training in which the learning rate rises.
    pub pct_start: f64,
    /// Divisor of the full learning rate that gives the first one.
    pub div_factor: f64,
    /// Divisor of the first learning rate that gives the last one.
    pub final_div_factor: f64,
    /// Shape of rise and fall.
    pub anneal: Anneal,
}

/// Shape of a transition between two learning rates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Anneal {
    /// Half a cosine wave.
    #[default]
    Cos,
    /// A straight line.
    Linear,
}

impl Anneal {
    /// Returns the value at `t`, which runs from 0 at `start` to 1 at `end`.
    pub(crate) fn between(self, start: f64, end: f64, t: f64) -> f64 {
        match self {
            Self::Cos => end + (start - end) / 2.0 * (1.0 + (PI * t).cos()),
            Self::Linear => start + (end - start) * t,
        }
    }
}

impl Default for OneCycle {
    fn default() -> Self {
        Self { pct_start: 0.3, div_factor: 25.0, final_div_factor: 1e4, anneal: Anneal::Cos }
    }
}

impl OneCycle {
    /// Checks the values; the error names the first invalid one.
    pub fn check(&self) -> Result<(), Invalid> {
        let share = self.pct_start;
        Invalid::unless((0.0..1.0).contains(&share), "pct_start", || format!("must be in [0, 1), is {share}"))?;
        for (key, divisor) in [("div_factor", self.div_factor), ("final_div_factor", self.final_div_factor)] {
            let fits = divisor.is_finite() && divisor >= 1.0;
            Invalid::unless(fits, key, || format!("must be 1 or more, is {divisor}"))?;
        }
        Ok(())
    }

    /// Returns the factor on the full learning rate at the beginning.
    pub(crate) fn first(&self) -> f64 {
        1.0 / self.div_factor
    }

    /// Returns the factor on the full learning rate for update number `done`, from 0, of `span`.
    pub(crate) fn factor(&self, done: u64, span: u64) -> f64 {
        let (done, last, top) = (done as f64, span as f64 - 1.0, self.pct_start * span as f64 - 1.0);
        if top > 0.0 && done <= top {
            return self.anneal.between(self.first(), 1.0, done / top);
        }
        let t = ((done - top) / (last - top)).min(1.0);
        self.anneal.between(1.0, self.first() / self.final_div_factor, t)
    }
}
