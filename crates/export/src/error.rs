//! Why a network was not saved.

use contract::TorchError;
use std::path::PathBuf;
use tch::TchError;

/// Why a network was not saved.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The network could not be run on the example.
    #[error("running the network to follow it: {0}")]
    Network(String),
    /// libtorch refused.
    #[error("{doing} {}: {source}", path.display())]
    Torch {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// What it said.
        source: TorchError,
    },
}

impl Error {
    pub(crate) fn torch(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(TchError) -> Self {
        let path = path.into();
        move |error| Self::Torch { doing, path, source: error.into() }
    }
}
