//! The `checkpoint` section of a configuration.

use contract::Invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When checkpoints are written and which of them are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Checkpoint")]
pub struct Config {
    /// Epochs from one checkpoint to the next; at least 1.
    pub every_epochs: u64,
    /// Steps (batches) from one checkpoint to the next, also within an epoch; at least 1, null for none.
    pub every_steps: Option<u64>,
    /// Minutes from one checkpoint to the next, also within an epoch; above 0, null for none.
    pub every_minutes: Option<f64>,
    /// How many of the newest checkpoints are kept; at least 1.
    pub keep_last: u64,
    /// Checkpoints at the end of every so many epochs are kept for good; at least 1, null for none.
    pub keep_every: Option<u64>,
    /// Whether the checkpoint with the best score is kept too.
    pub keep_best: bool,
    /// The validation score that decides which checkpoint is the best.
    pub best: String,
    /// Whether a higher or a lower score is better.
    pub mode: Mode,
    /// What becomes of the training when a checkpoint cannot be written, e.g. on a full disk.
    pub on_error: OnError,
    /// Seconds that the system leaves a run between the request to stop and the end (SLURM and Kubernetes: 30); a save
    /// that takes longer is warned of.
    pub grace_seconds: u64,
}

/// Which scores are better.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The higher the better, as with accuracy.
    #[default]
    Max,
    /// The lower the better, as with a loss.
    Min,
}

/// What becomes of the training when a checkpoint cannot be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// It goes on, and the next checkpoint is tried in its time.
    #[default]
    Continue,
    /// It stops.
    Stop,
}

impl Mode {
    /// Whether `score` beats `other`. Equal scores do not.
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
    /// Whether the values can work.
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
