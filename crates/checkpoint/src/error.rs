//! What can go wrong with a checkpoint.

use crate::readable;
use contract::{BoxError, StateError, TorchError};
use std::{
    io,
    path::{Path, PathBuf},
};

/// Why a checkpoint was not written or not read. What had been published before is as it was.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refused.
    #[error("cannot {doing} {path}: {source}{}", advice(.source))]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A [`Permit`](crate::Permit) was refused. Nothing was changed since.
    #[error("{source}")]
    Refused {
        /// Why.
        source: BoxError,
    },
    /// A file is not what was written. Nothing of the checkpoint was loaded.
    #[error("{path} is damaged: {problem}; take another checkpoint")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
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
    /// The weights are spoilt. Nothing was published.
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
    /// A tensor that the format has no place for. Nothing was published.
    #[error("state '{state}', tensor '{tensor}': {problem}, which a checkpoint cannot hold")]
    Tensor {
        /// The state of the snapshot.
        state: String,
        /// The tensor in it.
        tensor: String,
        /// What is special about it.
        problem: String,
    },
    /// A state whose name cannot be a file's. Nothing was published.
    #[error("state '{state}': a name may have 1 to 64 letters, digits, '_' and '-', and no other character")]
    Name {
        /// The name.
        state: String,
    },
    /// What the snapshot says about itself cannot be read back. Nothing was published.
    #[error("the manifest of step {step} would be unreadable: {problem}")]
    About {
        /// The step of the snapshot.
        step: u64,
        /// Why.
        problem: String,
    },
    /// libtorch could not give the values of a tensor.
    #[error("state '{state}', tensor '{tensor}': {source}")]
    Torch {
        /// The state of the snapshot.
        state: String,
        /// The tensor in it.
        tensor: String,
        /// What libtorch said.
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
    /// The system gave no thread to write with. Nothing was written.
    #[error(
        "no thread could be started to write the checkpoint of step {step}: {source}; \
         free some memory or raise the limit of threads (ulimit -u)"
    )]
    Thread {
        /// The step of the snapshot.
        step: u64,
        /// What the system said.
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
        /// What the thread said.
        problem: String,
    },
}

impl Error {
    /// For `map_err`: the system refused `doing` on `path`.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, path: path.into(), source }
    }

    pub(crate) fn damaged(path: &Path, problem: impl Into<String>) -> Self {
        Self::Damaged { path: path.into(), problem: problem.into() }
    }
}

/// What a person can do about the failures of a file system that are the most likely.
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
