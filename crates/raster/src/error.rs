//! Errors, each with the file it is about.

use std::io;
use std::path::{Path, PathBuf};

/// Image that could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system could not read the file.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// The file contradicts its format, or is cut off.
    #[error("{} is damaged: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Contradiction, and its place.
        problem: String,
    },
    /// The file may be sound, and is of a kind that is not read.
    #[error("{} {problem}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// The kind, and what converts it.
        problem: String,
    },
    /// The file does not have the page, slice, window, bands or depth that was asked for.
    #[error("{}: {problem}", path.display())]
    Asked {
        /// The file.
        path: PathBuf,
        /// Choice that was asked for, and those that the file has.
        problem: String,
    },
}

/// An [`Error`] without its file.
#[derive(Debug)]
pub(crate) enum Problem {
    Io(io::Error),
    Damaged(String),
    Refused(String),
    Asked(String),
}

impl Problem {
    /// Adds the file.
    pub(crate) fn of(self, path: &Path) -> Error {
        let path = path.to_path_buf();
        match self {
            // A file that others cut while it is read.
            Self::Io(source) if source.kind() == io::ErrorKind::UnexpectedEof => {
                Error::Damaged { path, problem: "it is cut off".into() }
            }
            Self::Io(source) => Error::Read { path, source },
            Self::Damaged(problem) => Error::Damaged { path, problem },
            Self::Refused(problem) => Error::Refused { path, problem },
            Self::Asked(problem) => Error::Asked { path, problem },
        }
    }
}

impl From<io::Error> for Problem {
    fn from(source: io::Error) -> Self {
        Self::Io(source)
    }
}

/// Creates a [`Problem::Damaged`].
pub(crate) fn damaged<T>(problem: impl Into<String>) -> Result<T, Problem> {
    Err(Problem::Damaged(problem.into()))
}

/// Creates a [`Problem::Refused`].
pub(crate) fn refused<T>(problem: impl Into<String>) -> Result<T, Problem> {
    Err(Problem::Refused(problem.into()))
}

/// Creates a [`Problem::Asked`].
pub(crate) fn asked<T>(problem: impl Into<String>) -> Result<T, Problem> {
    Err(Problem::Asked(problem.into()))
}
