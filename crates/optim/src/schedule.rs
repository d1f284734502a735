//! The learning rate over the course of training.

use crate::Plateau;
use contract::Invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// The `schedule` section of a configuration: warm-up, then a decay. Counts are updates of the weights.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("x-resume" = "ask"))]
pub struct Schedule {
    /// Updates over which the learning rate rises linearly from 0 (excluded) to its full value.
    pub warmup: u64,
    /// Decay after the warm-up.
    pub decay: Decay,
}

/// Decay of the learning rate after the warm-up, as a factor on `optimizer.learning_rate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Decay {
    /// Constant learning rate.
    // Braces, because serde accepts a unit variant with any other key next to its kind.
    Constant {},
    /// Half a cosine wave from 1 down to `floor` at the end of training (Loshchilov & Hutter, SGDR, 2017).
    Cosine {
        /// Factor at the end of training.
        #[serde(default)]
        floor: f64,
    },
    /// `(1 - t) ^ power`, with t running from 0 to 1 over the training (DeepLab's "poly").
    Polynomial {
        /// Exponent; 1 is a straight line.
        #[serde(default = "Decay::default_power")]
        power: f64,
    },
    /// Multiplication by `factor` after every `every` updates.
    Step {
        /// Updates between two drops.
        every: u64,
        /// Multiplier on the learning rate at each drop.
        #[serde(default = "Decay::default_factor")]
        factor: f64,
    },
    /// Multiplication by `factor` whenever a validation score has stopped improving (PyTorch's `ReduceLROnPlateau`).
    Plateau(Plateau),
}

impl Default for Decay {
    fn default() -> Self {
        Self::Constant {}
    }
}

impl Decay {
    fn default_power() -> f64 {
        0.9
    }

    fn default_factor() -> f64 {
        0.1
    }
}

impl Schedule {
    /// Checks the values; the error names the first invalid one.
    pub fn check(&self) -> Result<(), Invalid> {
        let within = |key: &str, value: f64, low: f64, high: f64| {
            Invalid::unless((low..=high).contains(&value), key, || format!("must be in [{low}, {high}], is {value}"))
        };
        match self.decay {
            Decay::Constant {} => Ok(()),
            Decay::Plateau(ref plateau) => {
                plateau.check().map_err(|invalid| Invalid { key: format!("decay.{}", invalid.key), ..invalid })
            }
            Decay::Cosine { floor } => within("decay.floor", floor, 0.0, 1.0),
            Decay::Polynomial { power } => within("decay.power", power, 0.0, 100.0),
            Decay::Step { every, factor } => {
                Invalid::unless(every > 0, "decay.every", || "must be at least 1, is 0".into())?;
                within("decay.factor", factor, 0.0, 1.0)
            }
        }
    }

    /// Returns the validation score that the learning rate follows, if any.
    pub fn score(&self) -> Option<&str> {
        if let Decay::Plateau(plateau) = &self.decay { Some(&plateau.score) } else { None }
    }

    /// Returns the factor on the learning rate for update number `update` (from 0) of `total`. Past the end,
    /// [`Decay::Step`] keeps falling and the others stay at their final factor. The factor of [`Decay::Plateau`] is not
    /// part of it: it depends on scores, which the optimizer [is given](contract::Optimizer::scored).
    pub fn factor(&self, update: u64, total: u64) -> f64 {
        if update < self.warmup {
            return (update + 1) as f64 / self.warmup as f64;
        }
        let (done, span) = (update - self.warmup, total.saturating_sub(self.warmup).max(1));
        let t = (done as f64 / span as f64).min(1.0);
        match self.decay {
            Decay::Constant {} | Decay::Plateau(_) => 1.0,
            Decay::Cosine { floor } => floor + (1.0 - floor) * 0.5 * (1.0 + (PI * t).cos()),
            Decay::Polynomial { power } => (1.0 - t).powf(power),
            Decay::Step { every, factor } => factor.powf((done / every.max(1)) as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn factors(schedule: &Schedule, updates: &[u64], total: u64) -> Vec<f64> {
        updates.iter().map(|u| (schedule.factor(*u, total) * 1e6).round() / 1e6).collect()
    }

    /// Expected values from the closed forms, worked out by hand.
    #[test]
    fn the_shapes_are_what_their_formulas_say() {
        let after = |decay| Schedule { warmup: 0, decay };
        assert_eq!(factors(&after(Decay::Constant {}), &[0, 50, 500], 100), [1.0, 1.0, 1.0]);
        let cosine = after(Decay::Cosine { floor: 0.1 });
        assert_eq!(factors(&cosine, &[0, 25, 50, 100, 200], 100), [1.0, 0.868198, 0.55, 0.1, 0.1]);
        let poly = after(Decay::Polynomial { power: 0.9 });
        assert_eq!(factors(&poly, &[0, 50, 90, 100], 100), [1.0, 0.535887, 0.125893, 0.0]);
        let step = after(Decay::Step { every: 30, factor: 0.1 });
        assert_eq!(factors(&step, &[0, 29, 30, 60], 100), [1.0, 1.0, 0.1, 0.01]);
    }

    #[test]
    fn warm_up_rises_and_the_decay_starts_after_it() {
        let schedule = Schedule { warmup: 4, decay: Decay::Cosine { floor: 0.0 } };
        assert_eq!(factors(&schedule, &[0, 1, 3, 4, 54, 104], 104), [0.25, 0.5, 1.0, 1.0, 0.5, 0.0]);
    }

    proptest! {
        #[test]
        fn a_factor_is_always_between_0_and_1(
            warmup in 0u64..50, total in 0u64..200, update in 0u64..400, shape in 0u8..4, x in 0.0f64..=1.0, every in 1u64..50,
        ) {
            let decay = match shape {
                0 => Decay::Constant {},
                1 => Decay::Cosine { floor: x },
                2 => Decay::Polynomial { power: x * 5.0 },
                _ => Decay::Step { every, factor: x },
            };
            let schedule = Schedule { warmup, decay };
            prop_assert!(schedule.check().is_ok());
            prop_assert!((0.0..=1.0).contains(&schedule.factor(update, total)));
        }
    }
}
