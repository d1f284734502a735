//! Fetches a file over HTTP into a folder, once: resumable, verified, and whole or not at all.
//!
//! ```no_run
//! use fetch::{Event, Limits, Wanted, fetch};
//! use std::path::Path;
//!
//! let wanted = Wanted {
//!     url: "https://download.pytorch.org/models/resnet34-b627a593.pth",
//!     to: Path::new("weights/resnet34-b627a593.pth"),
//!     sha256: "b627a593", // the digits that are published
//!     most: 100 << 20,
//! };
//! let fetched = fetch(&wanted, &Limits::default(), &mut |event| {
//!     if let Event::Received { bytes, .. } = event {
//!         println!("{bytes} bytes");
//!     }
//! })?;
//! println!("SHA-256 {}", fetched.sha256);
//! # Ok::<(), fetch::Error>(())
//! ```
//!
//! Beside a file NAME lie `NAME.sha256`, its pin; `NAME.lock`, which one process at a time holds; and while it is being
//! fetched `NAME.partial` and `NAME.from`, so that a process that was killed goes on where it ended.
//!
//! **Invariant:** the file exists only with the published digits of its SHA-256. The whole hash is pinned at the first
//! fetch. A file or a source that changes later is refused.
//!
//! # What it does not do
//!
//! It reads no file's content. It knows no signatures: the first fetch is trusted as far as TLS and the published
//! digits go. It sends no credentials. A server that cannot resume is read from the beginning after each cut.

mod cache;
mod download;
mod error;
mod hash;
mod http;
mod partial;

pub use cache::fetch;
pub use error::Error;
pub use hash::sha256;

use std::path::Path;
use std::time::Duration;

/// A file to fetch.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Address. With `https` no redirect may lead to `http`.
    pub url: &'a str,
    /// Path of the file. Its folder is made.
    pub to: &'a Path,
    /// First digits of its SHA-256, in lower-case hexadecimal; empty if none are published.
    pub sha256: &'a str,
    /// Largest size, in bytes.
    pub most: u64,
}

/// Limits of a fetch.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Longest wait for a connection, and for the beginning of an answer.
    pub answer: Duration,
    /// Longest time that one answer is read. A file that takes longer is continued with the next request. From a server
    /// that cannot resume it is read again, with four times as much time.
    pub body: Duration,
    /// Bytes that an attempt must add. One that adds fewer has failed.
    pub least: u64,
    /// Number of attempts in a row that may fail.
    pub tries: u32,
    /// Pause after the first failed attempt in a row. It doubles with each further one.
    pub pause: Duration,
    /// Longest pause, also of those that a server asks for.
    pub longest_pause: Duration,
    /// Number of redirects that one request follows.
    pub redirects: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(30),
            body: Duration::from_secs(60),
            least: 64 << 10,
            tries: 6,
            pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
            redirects: 5,
        }
    }
}

/// Progress of a fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Another process fetches the file.
    Waiting,
    /// The first bytes of an answer arrive; `from` are there already.
    Began {
        /// Number of bytes that an earlier attempt fetched.
        from: u64,
        /// Size of the file, if the server tells it.
        total: Option<u64>,
    },
    /// More bytes are written.
    Received {
        /// Number of bytes that the file has by now.
        bytes: u64,
    },
    /// An attempt failed, and after a pause there is another one.
    Failed {
        /// Reason of the failure.
        said: String,
        /// Pause before the next attempt.
        pause: Duration,
    },
}

/// A file that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// True if it was fetched now, false if it was there.
    pub fresh: bool,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests;
