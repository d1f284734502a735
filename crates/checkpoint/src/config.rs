//! The `checkpoint` section of a configuration.

use contract::Invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When checkpoints are written and which of them are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Checkpoint")]
pub struct Config {
    /// Epochs from one checkpoint to the next; at least 1.
    pub every_epochs: u64,
    /// How many of the newest checkpoints are kept; at least 1.
    pub keep_last: u64,
    /// Whether the checkpoint with the best score is kept too.
    pub keep_best: bool,
    /// The validation score that decides which checkpoint is the best.
    pub best: String,
    /// Whether a higher or a lower score is better.
    pub mode: Mode,
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

impl Mode {
    /// Whether `score` beats `other`. Equal scores do not.
    pub(crate) fn prefers(self, score: f64, other: f64) -> bool {
        match self {
            Mode::Max => score > other,
            Mode::Min => score < other,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self { every_epochs: 1, keep_last: 3, keep_best: true, best: "mean_iou".into(), mode: Mode::Max }
    }
}

impl Config {
    /// Whether the values can work.
    pub fn check(&self) -> Result<(), Invalid> {
        Invalid::unless(self.every_epochs > 0, "every_epochs", || "must be at least 1, is 0".into())?;
        Invalid::unless(self.keep_last > 0, "keep_last", || "must be at least 1, is 0".into())?;
        Invalid::unless(!self.best.is_empty(), "best", || "must name a validation score, is empty".into())
    }
}
