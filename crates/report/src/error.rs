//! Errors of making a report.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Error of making a report.
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
    /// The folder does not hold a run.
    #[error("{folder} is no run: it has no config.json; name a folder that was given to `app train --run`")]
    NoRun {
        /// Path of the folder.
        folder: PathBuf,
    },
    /// A file of the run is not JSON.
    #[error("{path} is not valid JSON ({problem}); restore it, or report on another run")]
    Config {
        /// Path of the file.
        path: PathBuf,
        /// Error of the parser.
        problem: String,
    },
    /// Parts of an evaluation do not fit together.
    #[error("{what}: expected {expected}, found {found}")]
    Shape {
        /// Part that does not fit.
        what: String,
        /// Expected shape.
        expected: String,
        /// Actual shape.
        found: String,
    },
    /// A picture could not be encoded.
    #[error("cannot encode the picture '{name}': {problem}")]
    Picture {
        /// Name of the sample.
        name: String,
        /// Error of the encoder.
        problem: String,
    },
    /// The page's numbers could not be written as JSON.
    #[error("cannot write the page's numbers as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl Error {
    /// Returns a closure for `map_err` that says that `doing` on `path` failed.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, path: path.into(), source }
    }
}
