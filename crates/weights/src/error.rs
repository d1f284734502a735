//! Why a file's weights cannot be had.

use std::io;
use std::path::{Path, PathBuf};

/// Why a file's weights cannot be had. Each variant names the file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is no file of weights, or a damaged one.
    #[error("{}: {problem}", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// What it holds is not a state dict.
    #[error(
        "{} holds what is no tensor: {}; save the network's state_dict() and nothing else",
        path.display(),
        what.join(", ")
    )]
    NoTensors {
        /// The file.
        path: PathBuf,
        /// What there is in the place of tensors, with its names.
        what: Vec<String>,
    },
}

pub(crate) fn unfit(path: &Path, problem: impl Into<String>) -> Error {
    Error::Unfit { path: path.into(), problem: problem.into() }
}
