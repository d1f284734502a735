//! Errors of a fetch, with what to do about them.

use std::io;
use std::path::{Path, PathBuf};

/// A file could not be fetched, or is not the one that it should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system failed at a file or folder.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// Operation, as a verb.
        doing: &'static str,
        /// File or folder.
        path: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// The file system has no locks, so two processes could write to one file.
    #[error(
        "cannot lock {}: {source}. Choose a folder whose file system has locks, or put the file there by other means",
        path.display()
    )]
    Lock {
        /// File of the lock.
        path: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// No server answered, or none to the end.
    #[error("cannot fetch {url}: {said}, {tries} times in a row. What came so far is kept for the next attempt")]
    Unreachable {
        /// Address.
        url: String,
        /// Reason of the last failure.
        said: String,
        /// Number of attempts.
        tries: u32,
    },
    /// The server refused.
    #[error("cannot fetch {url}: the server answers {status}")]
    Status {
        /// Address.
        url: String,
        /// Status of HTTP.
        status: u16,
    },
    /// The request is not made, or not followed any further.
    #[error("cannot fetch {url}: {said}")]
    Request {
        /// Address.
        url: String,
        /// Reason.
        said: String,
    },
    /// The file is larger than it may be.
    #[error("{url} has more than {most} bytes, which is not the file that is meant. Nothing of it was kept")]
    Large {
        /// Address.
        url: String,
        /// Largest size.
        most: u64,
    },
    /// Nobody could tell if the file is whole.
    #[error("{url} comes without a size, and no hash of it is published, so nobody could tell that it is whole")]
    Unsized {
        /// Address.
        url: String,
    },
    /// The file that came is another one than the published.
    #[error(
        "{url} has the SHA-256 {found}, but that of the published file begins with {expected}. It was damaged on the \
         way or replaced at its source, and nothing of it was kept"
    )]
    Hash {
        /// Address.
        url: String,
        /// First digits of the published hash.
        expected: String,
        /// Hash of what came.
        found: String,
    },
    /// The file that came is another one than at the first fetch.
    #[error(
        "{url} has the SHA-256 {found}, but had {pinned} when it was first fetched. The source changed, and nothing of \
         it was kept. If the change is meant, remove {}",
        pin.display()
    )]
    Changed {
        /// Address.
        url: String,
        /// Hash at the first fetch.
        pinned: String,
        /// Hash of what came.
        found: String,
        /// File with the pinned hash.
        pin: PathBuf,
    },
    /// The file in the cache is another one than the published or the one that was fetched.
    #[error(
        "{} has the SHA-256 {found}, but should have {expected}. Remove it to have it fetched again{}",
        path.display(),
        if_meant(pin.as_deref())
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Pinned hash, or the first digits of the published one.
        expected: String,
        /// Its hash.
        found: String,
        /// File with the pinned hash, where that is what differs.
        pin: Option<PathBuf>,
    },
}

fn if_meant(pin: Option<&Path>) -> String {
    pin.map_or(String::new(), |pin| format!(". If the change is meant, remove {}", pin.display()))
}

impl Error {
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, path: path.into(), source }
    }
}

impl From<regular::Failed> for Error {
    fn from(regular::Failed { doing, path, source }: regular::Failed) -> Self {
        Self::Io { doing, path, source }
    }
}
