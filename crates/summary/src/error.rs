//! Errors of writing a run's log.

use regular::Refusal;
use std::{
    io,
    path::{Path, PathBuf},
};

/// Error of writing a run's log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An operation of the file system failed.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// Operation, as a verb.
        doing: &'static str,
        /// File or folder.
        path: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// A [`Permit`](crate::Permit) was refused. Nothing was changed.
    #[error("{source}")]
    Refused {
        /// Reason.
        source: Refusal,
    },
    /// The data cannot be represented in the file's format.
    #[error("cannot write to {path}: {problem}")]
    Encode {
        /// File or folder.
        path: PathBuf,
        /// Description of the problem.
        problem: String,
    },
    /// The number of bytes of an image does not match its size, or is 0.
    #[error(
        "an RGB image of {width} by {height} has {width} * {height} * 3 bytes, and at least one pixel; these are {bytes}"
    )]
    Image {
        /// Pixels per row.
        width: u32,
        /// Number of rows.
        height: u32,
        /// Number of bytes given.
        bytes: usize,
    },
    /// The system could not start a thread.
    #[error("cannot start the thread that writes {name}: {source}")]
    Thread {
        /// Destination that the thread would have written to.
        name: String,
        /// Error of the system.
        source: io::Error,
    },
}

impl Error {
    /// Returns a closure for `map_err` that says that `doing` on `path` failed.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, path: path.into(), source }
    }

    pub(crate) fn refused(source: Refusal) -> Self {
        Self::Refused { source }
    }

    pub(crate) fn encode(path: &Path, problem: impl ToString) -> Self {
        Self::Encode { path: path.into(), problem: problem.to_string() }
    }
}
