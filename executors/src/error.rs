//! Errors of the loops, and their place.

use contract::{BoxError, CaptureError, listed};
use std::fmt;

/// Maximum number of a batch's samples listed in a message.
const NAMED: usize = 8;
/// The kind of loop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pass {
    /// Training.
    Training {
        /// The epoch, from 0.
        epoch: u64,
    },
    /// Validation.
    Validation {
        /// Finished epochs of training, if the caller gave their number.
        epochs: Option<u64>,
    },
    /// Prediction.
    Prediction,
    /// A single step outside a loop.
    #[default]
    Single,
}

/// Place of a loop in its batches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The loop.
    pub pass: Pass,
    /// Index of the batch in the epoch, from 0.
    pub batch: u64,
    /// Names of the batch's samples, if known.
    pub names: Vec<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pass {
            Pass::Training { epoch } => write!(f, "training, epoch {}, batch {}", epoch + 1, self.batch + 1)?,
            Pass::Validation { epochs: Some(epochs) } => {
                write!(f, "validation after epoch {epochs}, batch {}", self.batch + 1)?;
            }
            Pass::Validation { epochs: None } => write!(f, "validation, batch {}", self.batch + 1)?,
            Pass::Prediction => write!(f, "prediction, batch {}", self.batch + 1)?,
            Pass::Single => f.write_str("a single batch")?,
        }
        if self.names.is_empty() { Ok(()) } else { write!(f, " ({})", listed(&self.names, NAMED)) }
    }
}

/// Error of a part, with the place in the loop.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The input failed to give a batch.
    #[error("{place}: no batch: {source}")]
    Input {
        /// Place in the loop.
        place: Place,
        /// Error of the part.
        source: BoxError,
    },
    /// The model failed, usually for a shape that it does not accept or for lack of memory.
    #[error("{place}: the model failed on inputs {inputs:?}: {source}")]
    Model {
        /// Place in the loop.
        place: Place,
        /// The shape of the inputs.
        inputs: Vec<i64>,
        /// Error of the part.
        source: BoxError,
    },
    /// The loss function failed.
    #[error("{place}: the loss function failed: {source}")]
    Loss {
        /// Place in the loop.
        place: Place,
        /// Error of the part.
        source: BoxError,
    },
    /// The optimizer failed.
    #[error("{place}: the optimizer failed: {source}")]
    Optimizer {
        /// Place in the loop.
        place: Place,
        /// Error of the part.
        source: BoxError,
    },
    /// The metric failed.
    #[error("{place}: the metric failed: {source}")]
    Metric {
        /// Place in the loop.
        place: Place,
        /// Error of the part.
        source: BoxError,
    },
    /// The ranks could not agree on the way in which they make a step. Nothing of it was made.
    #[error("{place}: the ranks could not agree on the next step: {source}")]
    Ranks {
        /// Place in the loop.
        place: Place,
        /// Error of the ranks.
        source: BoxError,
    },
    /// A captured step could not be replayed. Parameters and state may have changed.
    #[error("{place}: {source}; train without capturing steps")]
    Replay {
        /// Place in the loop.
        place: Place,
        /// Error of the capture.
        source: CaptureError,
    },
}
