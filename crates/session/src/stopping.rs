//! Early stopping: ends a training whose validation score has stopped improving.

use checkpoint::Mode;
use contract::{BoxError, Invalid, Scores, StateDict, StateError, listed};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tch::{Kind, Tensor};

/// State of the early stopping.
pub const STOPPING: &str = "stopping";
/// Maximum number of scores listed in a message.
const NAMED: usize = 20;

/// End of a training whose validation score has stopped improving.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EarlyStopping {
    /// Validation score that is followed.
    pub score: String,
    /// Direction of a better score.
    pub mode: Mode,
    /// Difference from the best score so far that an improvement must exceed.
    pub min_delta: f64,
    /// Number of epochs in a row without an improvement after which the training ends.
    pub patience: u64,
}

impl Default for EarlyStopping {
    fn default() -> Self {
        Self { score: "loss".into(), mode: Mode::Min, min_delta: 0.0, patience: 10 }
    }
}

impl EarlyStopping {
    /// Checks the values; the error names the first invalid one.
    pub fn check(&self) -> Result<(), Invalid> {
        Invalid::unless(!self.score.is_empty(), "score", || "must name a validation score, is empty".into())?;
        let delta = self.min_delta;
        let fits = delta.is_finite() && delta >= 0.0;
        Invalid::unless(fits, "min_delta", || format!("must be 0 or more, is {delta}"))?;
        Invalid::unless(self.patience > 0, "patience", || "must be at least 1, is 0".into())
    }

    /// Returns true if a training with these states of a checkpoint has ended early. A checkpoint from before another
    /// score was followed says nothing.
    ///
    /// # Errors
    ///
    /// Fails if the state of the early stopping is damaged.
    pub fn is_over(&self, states: &BTreeMap<String, StateDict>) -> Result<bool, StateError> {
        Ok(Waiting::read(self, states.get(STOPPING))?.is_over(self))
    }

    /// Returns the followed score.
    pub(crate) fn of(&self, scores: &Scores) -> Result<f64, BoxError> {
        let score = scores.iter().find(|(name, _)| *name == self.score).map(|(_, score)| *score);
        let missing = || {
            let names = listed(scores.iter().map(|(name, _)| name), NAMED);
            format!("early_stopping.score: there is no score \"{}\", only {names}", self.score)
        };
        score.ok_or_else(|| missing().into())
    }

    /// Returns true if `score` improves on `best`.
    fn is_better(&self, score: f64, best: f64) -> bool {
        match self.mode {
            Mode::Min => score < best - self.min_delta,
            Mode::Max => score > best + self.min_delta,
        }
    }

    fn names(&self) -> [String; 2] {
        ["best", "waited"].map(|what| format!("{what}.{}", self.score))
    }
}

/// Scores that were followed so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Waiting {
    /// None before the first finite score.
    pub best: Option<f64>,
    /// Epochs since the best one.
    pub waited: u64,
}

impl Waiting {
    /// Takes in the score of an epoch. One that is not finite is no improvement.
    pub fn see(&mut self, rule: &EarlyStopping, score: f64) {
        if score.is_finite() && self.best.is_none_or(|best| rule.is_better(score, best)) {
            *self = Self { best: Some(score), waited: 0 };
        } else {
            self.waited += 1;
        }
    }

    /// Returns true if the training ends.
    pub fn is_over(&self, rule: &EarlyStopping) -> bool {
        self.waited >= rule.patience
    }

    /// Returns its state by names in a checkpoint, which names the score.
    pub fn state(&self, rule: &EarlyStopping) -> StateDict {
        let [best, waited] = rule.names();
        let best_so_far = self.best.map(|score| (best, Tensor::from(score)));
        [(waited, Tensor::from(self.waited as i64))].into_iter().chain(best_so_far).collect()
    }

    /// Reads a state. One of another score, or none, is a beginning.
    pub fn read(rule: &EarlyStopping, state: Option<&StateDict>) -> Result<Self, StateError> {
        let [best, waited] = rule.names();
        let number = |name: &String, kind: Kind| {
            let Some(tensor) = state.and_then(|state| state.get(name)) else { return Ok(None) };
            let fits = tensor.size().is_empty() && tensor.kind() == kind;
            let value = if fits { tensor.f_double_value(&[]).ok().filter(|value| value.is_finite()) } else { None };
            let problem = || format!("expected a number ({kind:?}), found {:?} {:?}", tensor.size(), tensor.kind());
            value.map(Some).ok_or_else(|| StateError::Value { name: name.clone(), problem: problem() })
        };
        let epochs = number(&waited, Kind::Int64)?;
        Ok(Self { best: number(&best, Kind::Double)?, waited: epochs.map_or(0, |epochs| epochs.max(0.0) as u64) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(mode: Mode, min_delta: f64, patience: u64) -> EarlyStopping {
        EarlyStopping { mode, min_delta, patience, ..EarlyStopping::default() }
    }

    /// Returns the epoch, from 1, after which a training with these losses ends; each epoch as after a checkpoint.
    fn end(rule: &EarlyStopping, scores: &[f64]) -> Option<usize> {
        let mut waiting = Waiting::default();
        for (epoch, score) in scores.iter().enumerate() {
            waiting.see(rule, *score);
            let states = [(STOPPING.to_string(), waiting.state(rule))].into();
            waiting = Waiting::read(rule, Some(&waiting.state(rule))).unwrap();
            assert_eq!(rule.is_over(&states).unwrap(), waiting.is_over(rule));
            if waiting.is_over(rule) {
                return Some(epoch + 1);
            }
        }
        None
    }

    /// Expected epochs are those of Keras' EarlyStopping, whose rule is written down in its documentation.
    #[test]
    fn a_training_ends_after_patience_epochs_without_an_improvement() {
        let min = |delta, patience| rule(Mode::Min, delta, patience);
        assert_eq!(end(&min(0.0, 2), &[1.0, 0.9, 0.9, 0.8, 0.85, 0.81, 0.1]), Some(6));
        assert_eq!(end(&min(0.0, 1), &[1.0, 1.0]), Some(2));
        assert_eq!(end(&min(0.0, 3), &[1.0, 2.0, 2.0, 0.9]), None);
        // Steps that are too small add up, since the best score stays.
        assert_eq!(end(&min(0.25, 2), &[1.0, 0.875, 0.75, 0.5]), Some(3));
        assert_eq!(end(&min(0.25, 3), &[1.0, 0.875, 0.75, 0.5, 0.5]), None);
        assert_eq!(end(&rule(Mode::Max, 0.0, 2), &[0.1, 0.3, 0.2, 0.4, 0.4, 0.3]), Some(6));
        let infinite = [f64::NAN, f64::NEG_INFINITY, 0.5, f64::NAN, f64::INFINITY];
        assert_eq!(end(&min(0.0, 3), &infinite), None);
        assert_eq!(end(&min(0.0, 2), &infinite), Some(2));
    }

    #[test]
    fn another_score_begins_anew_and_a_damaged_state_is_refused() {
        let followed = rule(Mode::Min, 0.0, 1);
        let mut waiting = Waiting::default();
        [1.0, 2.0].into_iter().for_each(|score| waiting.see(&followed, score));
        let state = waiting.state(&followed);
        let other = EarlyStopping { score: "accuracy".into(), ..followed.clone() };
        assert_eq!(Waiting::read(&other, Some(&state)).unwrap(), Waiting::default());
        assert_eq!(Waiting::read(&followed, None).unwrap(), Waiting::default());
        let damaged = [("waited.loss".to_string(), Tensor::from(1f32))].into();
        let said = Waiting::read(&followed, Some(&damaged)).unwrap_err().to_string();
        assert!(said.contains("waited.loss"), "{said}");
        let said = other.of(&vec![("loss".into(), 1.0)]).unwrap_err().to_string();
        assert_eq!(said, "early_stopping.score: there is no score \"accuracy\", only loss");
    }

    #[test]
    fn impossible_values_are_named() {
        let ok = EarlyStopping::default();
        ok.check().unwrap();
        for (rule, key) in [
            (EarlyStopping { score: String::new(), ..ok.clone() }, "score"),
            (EarlyStopping { min_delta: -1.0, ..ok.clone() }, "min_delta"),
            (EarlyStopping { patience: 0, ..ok }, "patience"),
        ] {
            assert_eq!(rule.check().unwrap_err().key, key);
        }
    }
}
