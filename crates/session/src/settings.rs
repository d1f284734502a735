//! Settings of a session.

use crate::stopping::EarlyStopping;
use contract::Invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use terminal::Class;

/// Settings of a session.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Schedule of checkpoints.
    pub save: Save,
    /// Retention of checkpoints.
    pub checkpoint: checkpoint::Config,
    /// Policy for losses and gradients that are not finite.
    pub non_finite: NonFinite,
    /// Early stopping, if the training may end before its last epoch.
    pub early_stopping: Option<EarlyStopping>,
    /// The log.
    pub summary: summary::Config,
    /// The display.
    pub show: Show,
    /// Record that each checkpoint carries about its origin, e.g. the configuration; JSON of any form.
    pub about: Value,
    /// Step after which the run stops, to be resumed.
    pub until_step: Option<u64>,
    /// Command that resumes a run, for messages; its folder is appended.
    pub command: Option<String>,
    /// Command that reruns a rejected batch, for messages; its folder is appended.
    pub replay: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            save: Save::default(),
            checkpoint: checkpoint::Config::default(),
            non_finite: NonFinite::default(),
            early_stopping: None,
            summary: summary::Config::default(),
            show: Show::default(),
            about: Value::Null,
            until_step: None,
            command: None,
            replay: None,
        }
    }
}

/// Display of a session: names, sizes and colours that its parts do not know.
#[derive(Debug, Clone, Default)]
pub struct Show {
    /// True for the dashboard over the whole terminal, false for bars and rows.
    pub dashboard: bool,
    /// Number of training and of validation samples; 0 if unknown.
    pub samples: [u64; 2],
    /// Samples in a batch.
    pub batch_size: u64,
    /// Classes with a score of their own each, e.g. `iou/CLASS`; empty for a task without.
    pub classes: Vec<Class>,
    /// Group of these scores, the part before `/`.
    pub group: String,
    /// Scores that TensorBoard compares runs by; empty for none.
    pub compared: Vec<String>,
}

/// Schedule of checkpoints, and the handling of those that come late or not at all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Save {
    /// Interval between checkpoints in epochs; at least 1.
    #[schemars(extend("x-resume" = "safe"))]
    pub every_epochs: u64,
    /// Interval between checkpoints in steps (batches), also within an epoch; at least 1, null for none.
    #[schemars(extend("x-resume" = "safe"))]
    pub every_steps: Option<u64>,
    /// Interval between checkpoints in minutes, also within an epoch; above 0, null for none.
    #[schemars(extend("x-resume" = "safe"))]
    pub every_minutes: Option<f64>,
    /// Reaction to a checkpoint that cannot be written, e.g. on a full disk.
    #[schemars(extend("x-resume" = "safe"))]
    pub on_error: OnError,
    /// Seconds between the system's request to stop and its kill (SLURM and Kubernetes: 30); a save that takes longer
    /// logs a warning.
    #[schemars(extend("x-resume" = "safe"))]
    pub grace_seconds: u64,
}

/// Reaction to a checkpoint that cannot be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// Training continues, and the next checkpoint is tried on schedule.
    #[default]
    Continue,
    /// Training stops.
    Stop,
}

impl Default for Save {
    fn default() -> Self {
        let on_error = OnError::Continue;
        Self { every_epochs: 1, every_steps: None, every_minutes: None, on_error, grace_seconds: 30 }
    }
}

impl Save {
    /// Checks the values; the error names the first invalid one.
    pub fn check(&self) -> Result<(), Invalid> {
        for (key, count) in [("every_epochs", Some(self.every_epochs)), ("every_steps", self.every_steps)] {
            Invalid::unless(count != Some(0), key, || "must be at least 1, is 0".into())?;
        }
        let minutes = self.every_minutes.unwrap_or(1.0);
        Invalid::unless(minutes.is_finite() && minutes > 0.0, "every_minutes", || {
            format!("must be a number above 0, is {minutes}")
        })
    }
}

/// Handling of batches whose loss or gradient is not finite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("x-resume" = "safe"))]
pub struct NonFinite {
    /// Reaction to such a batch: stop the run (`stop`), skip the batch (`skip`), or restore weights and optimizer from
    /// the last checkpoint and go on with the next batch (`rollback`).
    pub policy: Policy,
    /// Maximum number of skips and rollbacks in a run; the next one stops it.
    pub limit: u64,
}

/// Reaction to a loss or gradient that is not finite.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// Stop the run.
    #[default]
    Stop,
    /// Skip the batch.
    Skip,
    /// Restore weights and optimizer from the last checkpoint.
    Rollback,
}

impl Default for NonFinite {
    fn default() -> Self {
        Self { policy: Policy::default(), limit: 10 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_is_checked() {
        Save::default().check().unwrap();
        let key = |save: Save| save.check().unwrap_err().key;
        assert_eq!(key(Save { every_epochs: 0, ..Save::default() }), "every_epochs");
        assert_eq!(key(Save { every_steps: Some(0), ..Save::default() }), "every_steps");
        for minutes in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(key(Save { every_minutes: Some(minutes), ..Save::default() }), "every_minutes");
        }
        Save { every_steps: Some(1), every_minutes: Some(0.5), ..Save::default() }.check().unwrap();
        let read: Save = serde_json::from_str(r#"{"on_error": "stop", "every_minutes": 20}"#).unwrap();
        assert_eq!(read, Save { on_error: OnError::Stop, every_minutes: Some(20.0), ..Save::default() });
        assert!(serde_json::from_str::<Save>(r#"{"keep_last": 1}"#).is_err());
    }
}
