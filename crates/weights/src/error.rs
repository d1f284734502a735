//! Errors of reading weights.

use contract::TorchError;
use std::io;
use std::path::{Path, PathBuf};
use tch::TchError;

/// Failure to read weights. Each variant names the file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file is not a file of weights, or is damaged.
    #[error("{}: {problem}", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// Description of the problem.
        problem: String,
    },
    /// The file's content is not a state dict.
    #[error(
        "{} holds what is no tensor: {}; save the network's state_dict() and nothing else",
        path.display(),
        what.join(", ")
    )]
    NoTensors {
        /// The file.
        path: PathBuf,
        /// Descriptions of the values in the place of tensors, with their names.
        what: Vec<String>,
    },
}

pub(crate) fn unfit(path: &Path, problem: impl Into<String>) -> Error {
    Error::Unfit { path: path.into(), problem: problem.into() }
}

/// Returns libtorch's error about a tensor of the file.
pub(crate) fn torch(path: &Path, name: &str, error: &TchError) -> Error {
    unfit(path, format!("tensor '{name}': {}", TorchError::new(&error.to_string())))
}
