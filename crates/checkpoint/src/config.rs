//! The `checkpoint` section of a configuration.

use contract::Invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Retention of checkpoints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Number of newest checkpoints to keep; at least 1.
    #[schemars(extend("x-resume" = "safe"))]
    pub keep_last: u64,
    /// Interval in epochs of the checkpoints that are kept for good, each at an epoch's end; at least 1, null for none.
    #[schemars(extend("x-resume" = "safe"))]
    pub keep_every: Option<u64>,
    /// Keeps the checkpoint with the best score too.
    #[schemars(extend("x-resume" = "safe"))]
    pub keep_best: bool,
    /// Validation score that decides which checkpoint is the best.
    #[schemars(extend("x-resume" = "safe"))]
    pub best: String,
    /// Direction of a better score: higher (`max`) or lower (`min`).
    #[schemars(extend("x-resume" = "safe"))]
    pub mode: Mode,
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
        Self { keep_last: 3, keep_every: None, keep_best: true, best: "mean_iou".into(), mode: Mode::Max }
    }
}

impl Config {
    /// Checks the values; the error names the first invalid one.
    pub fn check(&self) -> Result<(), Invalid> {
        for (key, count) in [("keep_last", Some(self.keep_last)), ("keep_every", self.keep_every)] {
            Invalid::unless(count != Some(0), key, || "must be at least 1, is 0".into())?;
        }
        Invalid::unless(!self.best.is_empty(), "best", || "must name a validation score, is empty".into())
    }
}
