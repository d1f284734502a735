//! Errors of building an optimizer.

use contract::{Invalid, TorchError};

/// Why an optimizer was not built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A key of the configuration cannot work.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// No parameter requires a gradient.
    #[error("no parameter requires a gradient, so there is nothing to train")]
    Nothing,
    /// libtorch failed.
    #[error(transparent)]
    Torch(#[from] TorchError),
}
