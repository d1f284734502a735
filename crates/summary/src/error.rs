//! What can go wrong when a run writes something down.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Why something was not written down.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refused.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A [`Permit`](crate::Permit) was refused. Nothing was changed.
    #[error("{source}")]
    Refused {
        /// Why.
        source: crate::permit::Refusal,
    },
    /// Something has no form in the file's format.
    #[error("cannot write to {path}: {problem}")]
    Encode {
        /// The file or folder.
        path: PathBuf,
        /// What does not fit.
        problem: String,
    },
    /// The bytes of an image are not as many as its size says.
    #[error(
        "an RGB image of {width} by {height} has {width} * {height} * 3 bytes, and at least one pixel; these are {bytes}"
    )]
    Image {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
        /// Bytes that there are.
        bytes: usize,
    },
    /// The system gave no thread.
    #[error("cannot start the thread that writes {name}: {source}")]
    Thread {
        /// What the thread would have written.
        name: String,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: the system refused `doing` on `path`.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, path: path.into(), source }
    }

    pub(crate) fn encode(path: &Path, problem: impl ToString) -> Self {
        Self::Encode { path: path.into(), problem: problem.to_string() }
    }
}
