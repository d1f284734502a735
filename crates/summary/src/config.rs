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
    /// How many validation samples TensorBoard shows as images after each epoch, the same ones every time; 0 for none.
    pub images: u64,
    /// After every how many epochs TensorBoard gets histograms; 0 for never.
    pub histograms: u64,
    /// After how many seconds TensorBoard sees what was written down, at the latest.
    pub flush_seconds: u64,
    /// The size in megabytes from which on TensorBoard's event files are continued in a new one; 0 for never.
    pub rotate_mb: u64,
    /// Whether a page about the run, `report.html`, is written into its folder at its end.
    pub report: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            tensorboard: true,
            per_step: false,
            images: 4,
            histograms: 1,
            flush_seconds: 10,
            rotate_mb: 256,
            report: true,
        }
    }
}
