//! What can go wrong in a loop, and where it did.

use contract::{BoxError, listed};
use std::fmt;

/// Maximum number of samples of a batch named in a message.
const NAMED: usize = 8;
/// The kind of loop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pass {
    /// Training, in this epoch, from 0.
    Training {
        /// The epoch.
        epoch: u64,
    },
    /// Validation, after so many epochs where the caller said how many.
    Validation {
        /// Finished epochs.
        epochs: Option<u64>,
    },
    /// Prediction.
    Prediction,
    /// A single step that somebody asked for.
    #[default]
    Single,
}

/// Where a loop stood when something happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The loop.
    pub pass: Pass,
    /// The batch in the epoch, from 0.
    pub batch: u64,
    /// The samples of the batch, where they are known.
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

/// An error of a part, with the place where the loop stood.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The input could not give a batch.
    #[error("{place}: no batch: {source}")]
    Input {
        /// Where.
        place: Place,
        /// Why.
        source: BoxError,
    },
    /// The model failed: usually a shape that it does not take, or memory.
    #[error("{place}: the model failed on inputs {inputs:?}: {source}")]
    Model {
        /// Where.
        place: Place,
        /// The shape of the inputs.
        inputs: Vec<i64>,
        /// Why.
        source: BoxError,
    },
    /// The loss function failed.
    #[error("{place}: the loss function failed: {source}")]
    Loss {
        /// Where.
        place: Place,
        /// Why.
        source: BoxError,
    },
    /// The optimizer failed.
    #[error("{place}: the optimizer failed: {source}")]
    Optimizer {
        /// Where.
        place: Place,
        /// Why.
        source: BoxError,
    },
    /// The metric failed.
    #[error("{place}: the metric failed: {source}")]
    Metric {
        /// Where.
        place: Place,
        /// Why.
        source: BoxError,
    },
}
