//! Schema of a line of `metrics.jsonl`, for whoever writes or reads one.

use crate::Stage;
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeMap;

/// One line: the scalars of a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line<S = BTreeMap<String, Option<f64>>> {
    /// Source of the scalars.
    pub stage: Stage,
    /// Number of finished epochs; in lines of single steps, the epoch under way, counted from 1.
    pub epoch: u64,
    /// Number of training steps done.
    pub step: u64,
    /// Time of writing, in seconds since 1970.
    pub time: f64,
    /// Scalars by name. A value that was not finite is `null` in the file and `None` here.
    #[serde(flatten)]
    pub scalars: S,
}

/// Keys of every line, which can name no scalar.
pub const KEYS: [&str; 4] = ["stage", "epoch", "step", "time"];

impl Line {
    /// Returns the value of a scalar, if it was logged and is finite.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.scalars.get(name).copied().flatten().filter(|value| value.is_finite())
    }
}

/// Scalars to be written, in this order.
pub struct Ordered<'a>(pub &'a [(String, f64)]);

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// Position of a line in the run. Read also from lines that a person, or another version of this program, wrote with
/// less in them, so that cutting back removes none that is not to come again.
#[derive(Deserialize)]
pub struct Mark {
    stage: Option<String>,
    epoch: Option<u64>,
    pub step: Option<u64>,
}

impl Mark {
    /// Returns true if a line belongs to the first `step` training steps and, unless it is of a single step, to the
    /// first `epochs` epochs.
    pub fn is_before(&self, epochs: u64, step: u64) -> bool {
        // A run that is interrupted during the validation at the end of an epoch resumes from a checkpoint of that very
        // step, whose epoch is not finished. The lines of the epoch may exist, and will come again: a test of the step
        // alone would keep them, and they would stand twice. Lines of single steps count the epoch under way and are
        // not affected.
        let of_step = self.stage.as_deref() == Some(Stage::Step.name());
        let epoch_is_finished = self.epoch.is_some_and(|epoch| epoch <= epochs);
        self.step.is_some_and(|at| at <= step) && (of_step || epoch_is_finished)
    }
}

/// Returns the text of a line without zeros before it, which a program that kept writing leaves where the file was
/// truncated.
pub fn text(line: &[u8]) -> &[u8] {
    &line[line.iter().take_while(|byte| **byte == 0).count()..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_whatever_the_stage() {
        for stage in [Stage::Train, Stage::Validation, Stage::Step, Stage::Run] {
            let scalars = [("loss", 0.1), ("iou/pet", f64::NAN), ("accuracy", 1.0)];
            let scalars = scalars.map(|(name, value)| (name.to_owned(), value));
            let written = Line { stage, epoch: 2, step: 30, time: 1.5, scalars: Ordered(&scalars) };
            let text = serde_json::to_string(&written).unwrap();
            let name = stage.name();
            let expected = r#"","epoch":2,"step":30,"time":1.5,"loss":0.1,"iou/pet":null,"accuracy":1.0}"#;
            assert_eq!(text, format!(r#"{{"stage":"{name}{expected}"#));
            let line: Line = serde_json::from_str(&text).unwrap();
            assert_eq!((line.stage, line.epoch, line.step, line.time), (stage, 2, 30, 1.5));
            assert_eq!((line.get("loss"), line.get("accuracy"), line.get("iou/pet")), (Some(0.1), Some(1.0), None));
            assert_eq!(line.scalars.len(), 3);
            let mark: Mark = serde_json::from_str(&text).unwrap();
            assert!(mark.is_before(2, 30) && !mark.is_before(2, 29));
            assert_eq!(mark.is_before(1, 30), stage == Stage::Step, "{name}");
        }
    }

    #[test]
    fn the_keys_of_every_line_are_those_of_a_line_without_scalars() {
        let line: Line = Line { stage: Stage::Train, epoch: 1, step: 2, time: 3.0, scalars: BTreeMap::new() };
        let serde_json::Value::Object(keys) = serde_json::to_value(&line).unwrap() else { panic!() };
        let (mut keys, mut expected) = (keys.keys().map(String::as_str).collect::<Vec<_>>(), KEYS.to_vec());
        keys.sort_unstable();
        expected.sort_unstable();
        assert_eq!(keys, expected);
    }
}
