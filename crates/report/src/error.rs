//! What can go wrong when a report is made.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refused.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder does not hold a run.
    #[error("{folder} is no run: it has no config.json; name a folder that was given to `app train --run`")]
    NoRun {
        /// The folder.
        folder: PathBuf,
    },
    /// A file of the run is not JSON.
    #[error("{path} is not valid JSON ({problem}); restore it, or report on another run")]
    Config {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        problem: String,
    },
    /// Parts of an evaluation do not fit together.
    #[error("{what}: expected {expected}, found {found}")]
    Shape {
        /// What was looked at.
        what: String,
        /// What would fit.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A picture could not be encoded.
    #[error("cannot encode the picture '{name}': {problem}")]
    Picture {
        /// The sample's name.
        name: String,
        /// What the encoder said.
        problem: String,
    },
    /// The page's numbers could not be written as JSON.
    #[error("cannot write the page's numbers as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl Error {
    /// For `map_err`: the system refused `doing` on `path`.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, path: path.into(), source }
    }
}
