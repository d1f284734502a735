//! Why there is no dashboard.

use std::io;

/// Why a dashboard cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It would be drawn into a file, or read its keys from one.
    #[error("--tui needs a terminal, and {stream} is none; without it progress is shown line by line")]
    NoTerminal {
        /// Standard error or standard input.
        stream: &'static str,
    },
    /// The terminal can only print.
    #[error(
        "--tui needs a terminal that can move its cursor, and TERM is 'dumb'; without it progress is shown line by line"
    )]
    Dumb,
    /// There is one already: there is but one terminal.
    #[error("a dashboard is open already; close it before another is opened")]
    Open,
    /// The system refused.
    #[error("--tui cannot {doing}: {source}; without it progress is shown line by line")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: the system refused `doing`.
    pub(crate) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }
}
