//! Errors of building a loss.

use contract::TorchError;

/// A loss that cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The class weights are a rule, and nobody has measured them.
    #[error(
        "loss.class_weights: they are to be measured in the training data, which a training does at its start: list \
         them here"
    )]
    Unmeasured,
    /// libtorch failed.
    #[error(transparent)]
    Torch(#[from] TorchError),
}
