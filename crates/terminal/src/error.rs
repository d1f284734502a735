//! Errors of opening a dashboard.

use std::io;

/// Error of opening a dashboard.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Standard error or standard input is not a terminal.
    #[error("--tui needs a terminal, and {stream} is not one; without it progress is shown line by line")]
    NoTerminal {
        /// Name of the stream.
        stream: &'static str,
    },
    /// The terminal cannot move its cursor.
    #[error(
        "--tui needs a terminal that can move its cursor, and TERM is 'dumb'; without it progress is shown line by line"
    )]
    Dumb,
    /// A dashboard is already open on the only terminal.
    #[error("a dashboard is open already; close it before another is opened")]
    Open,
    /// An operation of the system failed.
    #[error("--tui cannot {doing}: {source}; without it progress is shown line by line")]
    Io {
        /// Operation, as a verb.
        doing: &'static str,
        /// Error of the system.
        source: io::Error,
    },
}

impl Error {
    /// Returns a closure for `map_err` that says that `doing` failed.
    pub(crate) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }
}
