//! Errors of a session.

use contract::{BoxError, TorchError};
use executors::RestoreError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The folder of a run is not where it was when the run began: nothing may be written there any more, since what lies
/// there now may be another run.
#[derive(Debug, Clone)]
pub struct Gone {
    pub(crate) folder: PathBuf,
    /// The folder's current path, if known.
    pub(crate) moved: Option<PathBuf>,
    /// True if something else has its name now.
    pub(crate) replaced: bool,
}

impl Gone {
    /// Returns the run's current path, if known.
    pub fn moved(&self) -> Option<&Path> {
        self.moved.as_deref()
    }
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folder = self.folder.display();
        match (&self.moved, self.replaced) {
            (Some(to), false) => write!(f, "the run folder {folder} was moved to {} meanwhile", to.display()),
            (Some(to), true) => write!(
                f,
                "the run folder {folder} was moved to {} meanwhile, and another one lies there now, which is \
                 left alone",
                to.display()
            ),
            (None, false) => write!(f, "the run folder {folder} was removed meanwhile"),
            (None, true) => write!(
                f,
                "the run folder {folder}, or its lock, was removed or replaced meanwhile; what lies there now \
                 is left alone"
            ),
        }
    }
}

impl std::error::Error for Gone {}

/// Why a session cannot go on. What had been saved is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A part of the loop failed.
    #[error(transparent)]
    Loop(#[from] executors::Error),
    /// Something that the caller does in the loop failed.
    #[error(transparent)]
    Caller(BoxError),
    /// A checkpoint could not be written or read.
    #[error("{}{cause}", .doing.map(|doing| format!("{doing}: ")).unwrap_or_default())]
    Checkpoint {
        /// Operation that failed, if the cause does not name it.
        doing: Option<&'static str>,
        /// Why.
        cause: Box<checkpoint::Error>,
    },
    /// The checkpoint does not fit the parts, which are as they were.
    #[error("{path}: {cause}", path = .path.display())]
    Restore {
        /// The checkpoint.
        path: PathBuf,
        /// Why.
        cause: Box<RestoreError>,
    },
    /// There are checkpoints, and none of them is valid.
    #[error("none of the {count} checkpoints is valid; --resume never starts over")]
    NoneValid {
        /// Number of checkpoints.
        count: usize,
    },
    /// The log could not be written.
    #[error("{}{cause}", .doing.map(|doing| format!("{doing}: ")).unwrap_or_default())]
    Summary {
        /// Operation that failed, if the cause does not name it.
        doing: Option<&'static str>,
        /// Why.
        cause: Box<summary::Error>,
    },
    /// The terminal cannot show a dashboard.
    #[error(transparent)]
    Terminal(#[from] terminal::Error),
    /// A loss or a gradient was not finite, and the policy says stop.
    #[error("{0}")]
    NotFinite(String),
    /// Another process trains in the folder.
    #[error("{folder} is being trained by {holder}: wait for its end, or name another folder with --run", folder = .folder.display())]
    Held {
        /// The folder.
        folder: PathBuf,
        /// The other process, and since when.
        holder: String,
    },
    /// The folder is gone.
    #[error("{gone}{said}")]
    Gone {
        /// Present state of the folder.
        gone: Gone,
        /// Loss of work, and the command that resumes.
        said: String,
    },
    /// A file or folder could not be used.
    #[error("{doing} {path}: {cause}", path = .path.display())]
    Io {
        /// Operation, as a verb.
        doing: &'static str,
        /// The path.
        path: PathBuf,
        /// Error of the system.
        cause: io::Error,
    },
    /// The folder is none, or is not free.
    #[error("{0}")]
    Folder(String),
    /// The ranks could not reach each other: one of them has failed, stopped or fallen silent.
    #[error("the ranks cannot go on together: {0}")]
    Ranks(BoxError),
    /// Another rank cannot go on.
    #[error("rank {rank}: {said}")]
    OfRank {
        /// Its number.
        rank: usize,
        /// Its error.
        said: String,
    },
    /// libtorch failed.
    #[error(transparent)]
    Torch(#[from] TorchError),
}

/// Result of a session's methods.
pub(crate) type Result<T> = std::result::Result<T, Error>;

impl From<Gone> for Error {
    fn from(gone: Gone) -> Self {
        Self::Gone { gone, said: String::new() }
    }
}

impl From<checkpoint::Error> for Error {
    fn from(cause: checkpoint::Error) -> Self {
        Self::Checkpoint { doing: None, cause: Box::new(cause) }
    }
}

impl From<summary::Error> for Error {
    fn from(cause: summary::Error) -> Self {
        Self::Summary { doing: None, cause: Box::new(cause) }
    }
}

impl Error {
    /// For `map_err`: the system refused `doing` on `path`.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::Io { doing, path: path.into(), cause }
    }
}
