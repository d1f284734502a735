//! Errors of checkpoints.

use crate::readable;
use contract::{BoxError, StateError, TorchError};
use std::{
    io,
    path::{Path, PathBuf},
};

/// Failure to write or read a checkpoint. Checkpoints published earlier are unchanged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refused.
    #[error("cannot {doing} {path}: {source}{}", advice(.source))]
    Io {
        /// Operation that failed.
        doing: &'static str,
        /// Its file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A [`Permit`](crate::Permit) was refused. Nothing was changed after that.
    #[error("{source}")]
    Refused {
        /// Reason.
        source: BoxError,
    },
    /// A file differs from what was written. Nothing of the checkpoint was loaded.
    #[error("{path} is damaged: {problem}; take another checkpoint")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Kind of damage.
        problem: String,
    },
    /// The checkpoint has a format that this version does not read.
    #[error("{path} has format {found}, and this version reads {known}: take the version of oxiseg that wrote it")]
    Format {
        /// The manifest.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The format of this version.
        known: u64,
    },
    /// A state holds NaN or infinity. Nothing was published.
    #[error(
        "state '{state}', tensor '{tensor}': NaN or infinity at step {step}, so no checkpoint was written; \
         continue from the one before, perhaps with a lower learning rate"
    )]
    NotFinite {
        /// The state of the snapshot.
        state: String,
        /// The tensor in it.
        tensor: String,
        /// The step of the snapshot.
        step: u64,
    },
    /// The format cannot hold a tensor. Nothing was published.
    #[error("state '{state}', tensor '{tensor}': {problem}, which a checkpoint cannot hold")]
    Tensor {
        /// The state of the snapshot.
        state: String,
        /// The tensor in it.
        tensor: String,
        /// Property that the format cannot hold.
        problem: String,
    },
    /// A state's name is not a valid file name. Nothing was published.
    #[error("state '{state}': a name may have 1 to 64 letters, digits, '_' and '-', and no other character")]
    Name {
        /// The name.
        state: String,
    },
    /// The snapshot's manifest could not be read back. Nothing was published.
    #[error("the manifest of step {step} would be unreadable: {problem}")]
    About {
        /// The step of the snapshot.
        step: u64,
        /// Reason.
        problem: String,
    },
    /// libtorch failed to return the values of a tensor.
    #[error("state '{state}', tensor '{tensor}': {source}")]
    Torch {
        /// The state of the snapshot.
        state: String,
        /// The tensor in it.
        tensor: String,
        /// libtorch's error.
        source: TorchError,
    },
    /// A part has no state in the checkpoint.
    #[error("the checkpoint holds no {state}.safetensors")]
    Missing {
        /// The name of the state.
        state: String,
    },
    /// The state of a part does not fit it. Nothing of the part was changed.
    #[error("the state '{state}': {source}")]
    State {
        /// The name of the state.
        state: String,
        /// Why.
        source: StateError,
    },
    /// The disk is too full for one single checkpoint.
    #[error(
        "{folder}: a checkpoint takes {}, and the disk has {} left; free some space or take another folder for the run",
        readable(*.needed), readable(*.free)
    )]
    NoRoom {
        /// The folder of the checkpoints.
        folder: PathBuf,
        /// Bytes that the disk has left for this user.
        free: u64,
        /// Bytes of one checkpoint.
        needed: u64,
    },
    /// The writing thread could not be started. Nothing was written.
    #[error(
        "no thread could be started to write the checkpoint of step {step}: {source}; \
         free some memory or raise the limit of threads (ulimit -u)"
    )]
    Thread {
        /// The step of the snapshot.
        step: u64,
        /// The system's error.
        source: io::Error,
    },
    /// The thread that wrote the checkpoint panicked, so it may be missing.
    #[error(
        "the writing of the checkpoint of step {step} broke off: {problem}; this is a fault of the program: \
         please report it; earlier checkpoints are untouched"
    )]
    Panicked {
        /// The step of the snapshot.
        step: u64,
        /// The panic's message.
        problem: String,
    },
}

impl Error {
    /// Returns a closure for `map_err`: the system refused `doing` on `path`.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, path: path.into(), source }
    }

    pub(crate) fn refused(source: BoxError) -> Self {
        Self::Refused { source }
    }

    pub(crate) fn damaged(path: &Path, problem: impl Into<String>) -> Self {
        Self::Damaged { path: path.into(), problem: problem.into() }
    }
}

/// Returns advice for the most likely failures of a file system.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some space or lower checkpoint.keep_last: earlier checkpoints are untouched"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; the folder of the run must be writable and its files readable"
        }
        _ => "",
    }
}
