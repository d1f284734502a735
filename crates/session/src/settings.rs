//! Settings of a session.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use terminal::Class;

/// Settings of a session.
#[derive(Debug, Clone)]
pub struct Settings {
    /// When checkpoints are saved, and which are kept.
    pub checkpoint: checkpoint::Config,
    /// Policy for losses and gradients that are not finite.
    pub non_finite: NonFinite,
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
            checkpoint: checkpoint::Config::default(),
            non_finite: NonFinite::default(),
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

/// Handling of batches whose loss or gradient is not finite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
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
