//! The `summary` section of a configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Log of a run in addition to `metrics.jsonl`, which is always written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Summary", extend("x-resume" = "safe"))]
pub struct Config {
    /// Enables TensorBoard event files, written to `logs/` in the run's folder.
    pub tensorboard: bool,
    /// Enables scalars for every training step, in addition to those for every epoch.
    pub per_step: bool,
    /// Number of validation samples shown as images in TensorBoard after each epoch, the same ones every time; 0 for
    /// none.
    pub images: u64,
    /// Interval in epochs of TensorBoard's histograms; 0 for never.
    pub histograms: u64,
    /// Longest delay in seconds before TensorBoard sees new data.
    pub flush_seconds: u64,
    /// Enables a page about the run, `report.html`, written into its folder at its end.
    pub report: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { tensorboard: true, per_step: false, images: 4, histograms: 1, flush_seconds: 10, report: true }
    }
}
