//! The `summary` section of a configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a run writes down beside `metrics.jsonl`, which it always writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Summary")]
pub struct Config {
    /// Whether TensorBoard event files are written to `logs/` in the run's folder.
    pub tensorboard: bool,
    /// Whether scalars are written for every training step too, and not for every epoch only.
    pub per_step: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { tensorboard: true, per_step: false }
    }
}
