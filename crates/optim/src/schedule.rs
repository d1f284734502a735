//! The learning rate over the course of training.

use crate::lowest::{check_lowest, is_zero, lowest};
use crate::{OneCycle, Plateau};
use contract::Invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// The `schedule` section of a configuration: warm-up, then a decay. Counts are updates of the weights.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("x-resume" = "ask"))]
pub struct Schedule {
    /// Updates over which the learning rate rises linearly from 0 (excluded) to that at which the decay begins.
    pub warmup: u64,
    /// Decay after the warm-up.
    pub decay: Decay,
}

/// Decay of the learning rate after the warm-up. Rates are those of parameters outside the optimizer's groups; a group
/// has its factor of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Decay {
    /// Constant learning rate.
    // Braces, because serde accepts a unit variant with any other key next to its kind.
    Constant {},
    /// Half a cosine wave from the full learning rate down to `min_rate` at the end of training (Loshchilov & Hutter,
    /// SGDR, 2017; PyTorch's `CosineAnnealingLR`).
    Cosine {
        /// Learning rate at the end of training.
        #[serde(default)]
        min_rate: f64,
        /// Former form of `min_rate`: a factor on `optimizer.learning_rate`. Only one of them may be above 0.
        #[serde(default, skip_serializing_if = "is_zero")]
        floor: f64,
    },
    /// Half a cosine wave again and again, with a jump back to the full learning rate after each (SGDR; PyTorch's
    /// `CosineAnnealingWarmRestarts`).
    CosineRestarts {
        /// Updates before the first restart.
        period: u64,
        /// Multiplier on the period at each restart.
        #[serde(default = "Decay::default_growth")]
        growth: u64,
        /// Learning rate that a period falls to.
        #[serde(default)]
        min_rate: f64,
    },
    /// `(1 - t) ^ power`, with t running from 0 to 1 over the training, from the full learning rate down to `min_rate`
    /// (DeepLab's "poly"; MMSegmentation's `PolyLR`, where `min_rate` is `eta_min`).
    Polynomial {
        /// Exponent; 1 is a straight line.
        #[serde(default = "Decay::default_power")]
        power: f64,
        /// Learning rate at the end of training.
        #[serde(default)]
        min_rate: f64,
    },
    /// Multiplication by `factor` after every `every` updates.
    Step {
        /// Updates between two drops.
        every: u64,
        /// Multiplier on the learning rate at each drop.
        #[serde(default = "Decay::default_factor")]
        factor: f64,
    },
    /// Rise to the full learning rate and a fall far below the first one (Smith & Topin, 2018; PyTorch's `OneCycleLR`).
    OneCycle(OneCycle),
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

    fn default_growth() -> u64 {
        1
    }

    /// Checks the values; the error names the first invalid one.
    fn check(&self, learning_rate: f64) -> Result<(), Invalid> {
        let within = |key: &str, value: f64, high: f64| {
            Invalid::unless((0.0..=high).contains(&value), key, || format!("must be in [0, {high}], is {value}"))
        };
        let counts = |key: &str, value: u64| Invalid::unless(value > 0, key, || "must be at least 1, is 0".into());
        match *self {
            Self::Constant {} => Ok(()),
            Self::Plateau(ref plateau) => plateau.check(learning_rate),
            Self::OneCycle(ref cycle) => cycle.check(),
            Self::Cosine { min_rate, floor } => check_lowest(min_rate, floor, learning_rate),
            Self::CosineRestarts { period, growth, min_rate } => {
                counts("period", period)?;
                counts("growth", growth)?;
                check_lowest(min_rate, 0.0, learning_rate)
            }
            Self::Polynomial { power, min_rate } => {
                within("power", power, 100.0)?;
                check_lowest(min_rate, 0.0, learning_rate)
            }
            Self::Step { every, factor } => {
                counts("every", every)?;
                within("factor", factor, 1.0)
            }
        }
    }

    /// Returns the factor on `learning_rate` for update number `done` after the warm-up, from 0, of `span`.
    fn factor(&self, learning_rate: f64, done: u64, span: u64) -> f64 {
        let t = (done as f64 / span as f64).min(1.0);
        let wave = |t: f64| 0.5 * (1.0 + (PI * t).cos());
        let down_to = |lowest: f64, shape: f64| lowest + (1.0 - lowest) * shape;
        match *self {
            Self::Constant {} | Self::Plateau(_) => 1.0,
            // In this order of operations, so that runs keep the bits with which they began.
            Self::Cosine { min_rate, floor } => {
                let lowest = lowest(min_rate, floor, learning_rate);
                lowest + (1.0 - lowest) * 0.5 * (1.0 + (PI * t).cos())
            }
            Self::CosineRestarts { period, growth, min_rate } => {
                let (at, period) = within_period(done, period.max(1), growth);
                down_to(lowest(min_rate, 0.0, learning_rate), wave(at as f64 / period as f64))
            }
            Self::Polynomial { power, min_rate } => {
                down_to(lowest(min_rate, 0.0, learning_rate), (1.0 - t).powf(power))
            }
            Self::Step { every, factor } => factor.powf((done / every.max(1)) as f64),
            Self::OneCycle(ref cycle) => cycle.factor(done, span),
        }
    }
}

/// Returns the place of update `done` in its period, and the length of that.
fn within_period(mut done: u64, mut period: u64, growth: u64) -> (u64, u64) {
    if growth <= 1 {
        return (done % period, period);
    }
    while done >= period {
        done -= period;
        period = period.saturating_mul(growth);
    }
    (done, period)
}

impl Schedule {
    /// Checks the values for this `optimizer.learning_rate`; the error names the first invalid one.
    pub fn check(&self, learning_rate: f64) -> Result<(), Invalid> {
        let checked = self.decay.check(learning_rate);
        checked.map_err(|invalid| Invalid { key: format!("decay.{}", invalid.key), ..invalid })
    }

    /// Returns the validation score that the learning rate follows, if any.
    pub fn score(&self) -> Option<&str> {
        if let Decay::Plateau(plateau) = &self.decay { Some(&plateau.score) } else { None }
    }

    /// Returns the learning rate of update number `update` (from 0) of `total`, where `learning_rate` is the full one.
    /// Past the end, [`Decay::Step`] keeps falling, [`Decay::CosineRestarts`] goes on and the others stay at their
    /// final rate. The factor of [`Decay::Plateau`] is not part of it: it depends on scores, which the optimizer
    /// [is given](contract::Optimizer::scored).
    pub fn rate(&self, learning_rate: f64, update: u64, total: u64) -> f64 {
        learning_rate * self.factor(learning_rate, update, total)
    }

    fn factor(&self, learning_rate: f64, update: u64, total: u64) -> f64 {
        if update < self.warmup {
            let full = if let Decay::OneCycle(cycle) = &self.decay { cycle.first() } else { 1.0 };
            return (update + 1) as f64 / self.warmup as f64 * full;
        }
        let (done, span) = (update - self.warmup, total.saturating_sub(self.warmup).max(1));
        self.decay.factor(learning_rate, done, span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn factors(schedule: &Schedule, updates: &[u64], total: u64) -> Vec<f64> {
        updates.iter().map(|u| (schedule.rate(1.0, *u, total) * 1e6).round() / 1e6).collect()
    }

    /// Expected values from the closed forms, worked out by hand.
    #[test]
    fn the_shapes_are_what_their_formulas_say() {
        let after = |decay| Schedule { warmup: 0, decay };
        assert_eq!(factors(&after(Decay::Constant {}), &[0, 50, 500], 100), [1.0, 1.0, 1.0]);
        let cosine = after(Decay::Cosine { min_rate: 0.1, floor: 0.0 });
        assert_eq!(factors(&cosine, &[0, 25, 50, 100, 200], 100), [1.0, 0.868198, 0.55, 0.1, 0.1]);
        let poly = after(Decay::Polynomial { power: 0.9, min_rate: 0.0 });
        assert_eq!(factors(&poly, &[0, 50, 90, 100], 100), [1.0, 0.535887, 0.125893, 0.0]);
        let step = after(Decay::Step { every: 30, factor: 0.1 });
        assert_eq!(factors(&step, &[0, 29, 30, 60], 100), [1.0, 1.0, 0.1, 0.01]);
    }

    #[test]
    fn warm_up_rises_and_the_decay_starts_after_it() {
        let schedule = Schedule { warmup: 4, decay: Decay::Cosine { min_rate: 0.0, floor: 0.0 } };
        assert_eq!(factors(&schedule, &[0, 1, 3, 4, 54, 104], 104), [0.25, 0.5, 1.0, 1.0, 0.5, 0.0]);
    }

    #[test]
    fn the_former_floor_is_a_factor_with_its_former_bits_and_is_not_written_where_it_is_0() {
        let old: Decay = serde_json::from_str(r#"{"kind": "cosine", "floor": 0.0}"#).unwrap();
        assert_eq!(old, serde_json::from_str(r#"{"kind": "cosine"}"#).unwrap());
        assert_eq!(serde_json::to_string(&old).unwrap(), r#"{"kind":"cosine","min_rate":0.0}"#);
        let old: Decay = serde_json::from_str(r#"{"kind": "cosine", "floor": 0.13}"#).unwrap();
        for update in [0, 1, 17, 99, 120] {
            let t = (f64::from(update) / 100.0).min(1.0);
            let former = 0.003 * (0.13 + (1.0 - 0.13) * 0.5 * (1.0 + (PI * t).cos()));
            let found = Schedule { warmup: 0, decay: old.clone() }.rate(0.003, update as u64, 100);
            assert_eq!(found.to_bits(), former.to_bits());
        }
    }

    #[test]
    fn a_lowest_rate_is_a_rate_whatever_the_full_one_is() {
        for decay in [
            Decay::Cosine { min_rate: 1e-4, floor: 0.0 },
            Decay::Polynomial { power: 0.9, min_rate: 1e-4 },
            Decay::Cosine { min_rate: 0.0, floor: 0.01 },
        ] {
            let found = Schedule { warmup: 3, decay }.rate(0.01, 40, 40);
            assert!((found / 1e-4 - 1.0).abs() < 1e-12, "{found:e}");
        }
    }

    #[test]
    fn impossible_values_are_named() {
        let key = |decay: &str| {
            let decay = serde_json::from_str(decay).unwrap();
            Schedule { warmup: 0, decay }.check(0.01).unwrap_err().key
        };
        for (decay, expected) in [
            (r#"{"kind": "cosine", "floor": 1.5}"#, "decay.floor"),
            (r#"{"kind": "cosine", "min_rate": 0.02}"#, "decay.min_rate"),
            (r#"{"kind": "cosine", "min_rate": 0.001, "floor": 0.1}"#, "decay.floor"),
            (r#"{"kind": "polynomial", "min_rate": -1}"#, "decay.min_rate"),
            (r#"{"kind": "polynomial", "power": 101}"#, "decay.power"),
            (r#"{"kind": "cosine_restarts", "period": 0}"#, "decay.period"),
            (r#"{"kind": "cosine_restarts", "period": 1, "growth": 0}"#, "decay.growth"),
            (r#"{"kind": "one_cycle", "pct_start": 1}"#, "decay.pct_start"),
            (r#"{"kind": "one_cycle", "div_factor": 0}"#, "decay.div_factor"),
            (r#"{"kind": "plateau", "min_rate": 1}"#, "decay.min_rate"),
        ] {
            assert_eq!(key(decay), expected, "{decay}");
        }
    }

    proptest! {
        #[test]
        fn a_factor_is_always_between_0_and_1(
            warmup in 0u64..50, total in 0u64..200, update in 0u64..400, shape in 0u8..6, x in 0.0f64..=1.0,
            every in 1u64..50,
        ) {
            let decay = match shape {
                0 => Decay::Constant {},
                1 => Decay::Cosine { min_rate: 0.0, floor: x },
                2 => Decay::Polynomial { power: x * 5.0, min_rate: x },
                3 => Decay::CosineRestarts { period: every, growth: 1 + total % 3, min_rate: x },
                4 => Decay::OneCycle(OneCycle { pct_start: 0.99 * x, ..OneCycle::default() }),
                _ => Decay::Step { every, factor: x },
            };
            let schedule = Schedule { warmup, decay };
            prop_assert!(schedule.check(1.0).is_ok());
            prop_assert!((0.0..=1.0).contains(&schedule.rate(1.0, update, total)));
        }
    }
}
