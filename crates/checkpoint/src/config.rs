//! The `checkpoint` section of a configuration.

use contract::Invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Schedule and retention of checkpoints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Checkpoint")]
pub struct Config {
    /// Interval between checkpoints in epochs; at least 1.
    pub every_epochs: u64,
    /// Interval between checkpoints in steps (batches), also within an epoch; at least 1, null for none.
    pub every_steps: Option<u64>,
    /// Interval between checkpoints in minutes, also within an epoch; above 0, null for none.
    pub every_minutes: Option<f64>,
    /// Number of newest checkpoints to keep; at least 1.
    pub keep_last: u64,
    /// Interval in epochs of the checkpoints that are kept for good, each at an epoch's end; at least 1, null for none.
    pub keep_every: Option<u64>,
    /// Keeps the checkpoint with the best score too.
    pub keep_best: bool,
    /// Validation score that decides which checkpoint is the best.
    pub best: String,
    /// Direction of a better score: higher (`max`) or lower (`min`).
    pub mode: Mode,
    /// Reaction to a checkpoint that cannot be written, e.g. on a full disk.
    pub on_error: OnError,
    /// Seconds between the system's request to stop and its kill (SLURM and Kubernetes: 30); a save that takes longer
    /// logs a warning.
    pub grace_seconds: u64,
}

/// Direction of a better score.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Higher is better, as with accuracy.
    #[default]
    Max,
    /// Lower is better, as with a loss.
    Min,
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

impl Mode {
    /// Returns true if `score` beats `other`. Equal scores do not.
    pub fn prefers(self, score: f64, other: f64) -> bool {
        match self {
            Mode::Max => score > other,
            Mode::Min => score < other,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            every_epochs: 1,
            every_steps: None,
            every_minutes: None,
            keep_last: 3,
            keep_every: None,
            keep_best: true,
            best: "mean_iou".into(),
            mode: Mode::Max,
            on_error: OnError::Continue,
            grace_seconds: 30,
        }
    }
}

impl Config {
    /// Checks the values; the error names the first invalid one.
    pub fn check(&self) -> Result<(), Invalid> {
        let counts = [
            ("every_epochs", Some(self.every_epochs)),
            ("every_steps", self.every_steps),
            ("keep_last", Some(self.keep_last)),
            ("keep_every", self.keep_every),
        ];
        for (key, count) in counts {
            Invalid::unless(count != Some(0), key, || "must be at least 1, is 0".into())?;
        }
        let minutes = self.every_minutes.unwrap_or(1.0);
        Invalid::unless(minutes.is_finite() && minutes > 0.0, "every_minutes", || {
            format!("must be a number above 0, is {minutes}")
        })?;
        Invalid::unless(!self.best.is_empty(), "best", || "must name a validation score, is empty".into())
    }
}
