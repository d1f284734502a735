//! A learning rate that falls whenever a validation score stops improving.

use crate::lowest::{check_lowest, is_zero, lowest};
use crate::scalar::{count, number};
use contract::{Invalid, Scores, StateDict, StateError, listed};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

const BEST: &str = "plateau.best";
const WAITED: &str = "plateau.waited";
const FACTOR: &str = "plateau.factor";
const APPLIED: &str = "plateau.applied";

/// Maximum number of scores listed in a message.
const NAMED: usize = 20;

/// Options of [`Decay::Plateau`](crate::Decay::Plateau), with the defaults of PyTorch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Plateau {
    /// Validation score that is followed.
    pub score: String,
    /// Direction of a better score: lower (`min`) or higher (`max`).
    pub mode: Direction,
    /// Multiplier on the learning rate at each drop.
    pub factor: f64,
    /// Number of validations in a row without an improvement that are let pass; the next one drops the learning rate.
    pub patience: u64,
    /// Improvement that counts, as a share of the best score so far.
    pub threshold: f64,
    /// Learning rate below which it does not fall.
    pub min_rate: f64,
    /// Former form of `min_rate`: a factor on `optimizer.learning_rate`. Only one of them may be above 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub floor: f64,
}

/// Direction of a better score.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Lower is better, as with a loss.
    #[default]
    Min,
    /// Higher is better, as with accuracy.
    Max,
}

impl Default for Plateau {
    fn default() -> Self {
        let (score, mode) = ("loss".into(), Direction::Min);
        Self { score, mode, factor: 0.1, patience: 10, threshold: 1e-4, min_rate: 0.0, floor: 0.0 }
    }
}

impl Plateau {
    /// Checks the values for this `optimizer.learning_rate`; the error names the first invalid one.
    pub fn check(&self, learning_rate: f64) -> Result<(), Invalid> {
        Invalid::unless(!self.score.is_empty(), "score", || "must name a validation score, is empty".into())?;
        for (key, value) in [("factor", self.factor), ("threshold", self.threshold)] {
            Invalid::unless((0.0..1.0).contains(&value), key, || format!("must be 0 or more and below 1, is {value}"))?;
        }
        check_lowest(self.min_rate, self.floor, learning_rate)
    }

    /// Returns true if `score` improves on `best` by more than the threshold.
    fn is_better(&self, score: f64, best: f64) -> bool {
        match self.mode {
            Direction::Min => score < best * (1.0 - self.threshold),
            Direction::Max => score > best * (1.0 + self.threshold),
        }
    }
}

/// Scores that were followed so far.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Followed {
    best: Option<f64>,
    /// Validations since the best one, or since the last drop.
    waited: u64,
    /// Factor on the learning rate of the next update.
    factor: f64,
    /// Factor on the learning rate of the last update.
    applied: f64,
}

impl Default for Followed {
    fn default() -> Self {
        Self { best: None, waited: 0, factor: 1.0, applied: 1.0 }
    }
}

impl Followed {
    /// Returns the factor on the learning rate of the next update.
    pub fn factor(&self) -> f64 {
        self.factor
    }

    /// Returns the factor on the learning rate of the last update.
    pub fn applied(&self) -> f64 {
        self.applied
    }

    /// Notes that an update is done.
    pub fn apply(&mut self) {
        self.applied = self.factor;
    }

    /// Takes in the scores of a validation, where `learning_rate` is the full one. A score that is not finite is no
    /// improvement.
    pub fn see(&mut self, rule: &Plateau, learning_rate: f64, scores: &Scores) -> Result<(), Invalid> {
        let score = scores.iter().find(|(name, _)| *name == rule.score).map(|(_, score)| *score);
        let score = score.ok_or_else(|| {
            let names = listed(scores.iter().map(|(name, _)| name), NAMED);
            let problem = format!("there is no score \"{}\", only {names}", rule.score);
            Invalid { key: "schedule.decay.score".into(), problem }
        })?;
        if score.is_finite() && self.best.is_none_or(|best| rule.is_better(score, best)) {
            (self.best, self.waited) = (Some(score), 0);
            return Ok(());
        }
        self.waited += 1;
        if self.waited > rule.patience {
            self.waited = 0;
            self.factor = (self.factor * rule.factor).max(lowest(rule.min_rate, rule.floor, learning_rate));
        }
        Ok(())
    }

    /// Returns its state by names in a checkpoint. Without a best score there is none, since a checkpoint holds finite
    /// values only.
    pub fn state(&self) -> StateDict {
        let best = self.best.map(|best| (BEST, Tensor::from(best)));
        let counted = [
            (WAITED, Tensor::from(self.waited as i64)),
            (FACTOR, Tensor::from(self.factor)),
            (APPLIED, Tensor::from(self.applied)),
        ];
        counted.into_iter().chain(best).map(|(name, value)| (name.to_string(), value)).collect()
    }

    /// Removes the tensors of [`state`](Self::state) from `state`, and returns what they say. A state from another
    /// schedule has none, and following begins.
    pub fn take(state: &mut StateDict) -> Result<Self, StateError> {
        let own = [BEST, WAITED, FACTOR, APPLIED].into_iter().filter_map(|name| state.remove_entry(name));
        let own: StateDict = own.collect();
        if own.is_empty() {
            return Ok(Self::default());
        }
        Ok(Self {
            best: own.contains_key(BEST).then(|| number(&own, BEST)).transpose()?,
            waited: count(&own, WAITED)?,
            factor: number(&own, FACTOR)?,
            applied: number(&own, APPLIED)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// Output of reference/plateau.py.
    #[derive(Deserialize)]
    struct Case {
        options: Value,
        scores: Vec<Option<f64>>,
        rates: Vec<f64>,
    }

    fn scores(score: f64) -> Scores {
        vec![("accuracy".into(), 0.5), ("loss".into(), score)]
    }

    #[test]
    fn the_learning_rate_falls_when_and_as_that_of_pytorch_does() {
        let cases: Vec<Case> = serde_json::from_str(include_str!("../reference/plateau.json")).unwrap();
        assert_eq!(cases.len(), 11);
        for Case { options, scores: seen, rates } in cases {
            let rule: Plateau = serde_json::from_value(options.clone()).unwrap();
            rule.check(0.1).unwrap();
            let mut followed = Followed::default();
            for (at, (score, rate)) in seen.into_iter().zip(rates).enumerate() {
                // Each time as after a checkpoint.
                followed = Followed::take(&mut followed.state()).unwrap();
                followed.see(&rule, 0.1, &scores(score.unwrap_or(f64::NAN))).unwrap();
                let found = 0.1 * followed.factor();
                assert!((found / rate - 1.0).abs() < 1e-14, "{options}, score {at}: {found:e}, not {rate:e}");
            }
        }
    }

    #[test]
    fn impossible_values_are_named() {
        let ok = Plateau::default();
        assert_eq!(ok.check(0.1), Ok(()));
        for (rule, key) in [
            (Plateau { score: String::new(), ..ok.clone() }, "score"),
            (Plateau { factor: 1.0, ..ok.clone() }, "factor"),
            (Plateau { factor: f64::NAN, ..ok.clone() }, "factor"),
            (Plateau { threshold: -0.1, ..ok.clone() }, "threshold"),
            (Plateau { floor: 1.1, ..ok }, "floor"),
        ] {
            assert_eq!(rule.check(0.1).unwrap_err().key, key);
        }
    }

    #[test]
    fn a_score_that_is_missing_is_an_error_and_changes_nothing() {
        let mut followed = Followed::default();
        let rule = Plateau { score: "iou".into(), ..Plateau::default() };
        let said = followed.see(&rule, 0.1, &scores(1.0)).unwrap_err().to_string();
        assert_eq!(said, "schedule.decay.score: there is no score \"iou\", only accuracy, loss");
        assert_eq!(followed, Followed::default());
    }

    #[test]
    fn a_state_is_finite_and_refused_where_it_is_not_one() {
        let mut followed = Followed::default();
        for score in [f64::NAN, f64::NEG_INFINITY, f64::INFINITY] {
            followed.see(&Plateau::default(), 0.1, &scores(score)).unwrap();
        }
        assert_eq!(followed.waited, 3);
        assert!(followed.state().values().all(|tensor| tensor.isfinite().int64_value(&[]) == 1));
        type Spoil = fn(&mut StateDict);
        let spoilers: [(&str, Spoil); 3] = [
            ("missing [plateau.factor]", |s| drop(s.remove(FACTOR))),
            ("tensor 'plateau.applied': expected a number", |s| drop(s.insert(APPLIED.into(), Tensor::from(1f32)))),
            ("tensor 'plateau.waited': expected a count", |s| drop(s.insert(WAITED.into(), Tensor::from(-1i64)))),
        ];
        for (message, spoil) in spoilers {
            let mut state = followed.state();
            spoil(&mut state);
            let said = Followed::take(&mut state).unwrap_err().to_string();
            assert!(said.contains(message), "{said} instead of {message}");
        }
        assert_eq!(Followed::take(&mut StateDict::new()).unwrap(), Followed::default());
    }
}
