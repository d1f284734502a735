//! The rank of this process among those that train together, as its launcher gave it, and its name in the log.

use log::{Log, Metadata, Record};
use std::env;

/// Returns the rank, from the variable that torchrun sets; 0 without one.
pub fn rank() -> usize {
    number("RANK").unwrap_or(0)
}

/// Returns the number among the ranks of this machine; None if no launcher gave one.
pub fn local_rank() -> Option<usize> {
    number("LOCAL_RANK")
}

fn number(name: &str) -> Option<usize> {
    env::var(name).ok()?.parse().ok()
}

/// Logger that names the rank in each line, if it is not the first. The first rank alone shows how the training goes,
/// so the others log warnings by default.
pub struct Ranked<L> {
    /// Logger that the lines are handed to.
    pub logger: L,
    /// Rank of this process.
    pub rank: usize,
}

/// Returns the level of a rank's log where RUST_LOG does not name one.
pub fn default_level(rank: usize) -> &'static str {
    if rank == 0 { "info" } else { "warn" }
}

impl<L: Log> Log for Ranked<L> {
    fn enabled(&self, metadata: &Metadata) -> bool {
        self.logger.enabled(metadata)
    }

    fn log(&self, record: &Record) {
        if self.rank == 0 {
            return self.logger.log(record);
        }
        if self.enabled(record.metadata()) {
            let mut builder = Record::builder();
            builder.metadata(record.metadata().clone()).module_path(record.module_path());
            builder.file(record.file()).line(record.line());
            self.logger.log(&builder.args(format_args!("[rank {}] {}", self.rank, record.args())).build());
        }
    }

    fn flush(&self) {
        self.logger.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    struct Kept(Arc<Mutex<Vec<String>>>);

    impl Log for Kept {
        fn enabled(&self, metadata: &Metadata) -> bool {
            metadata.level() <= log::Level::Warn
        }

        fn log(&self, record: &Record) {
            self.0.lock().unwrap().push(record.args().to_string());
        }

        fn flush(&self) {}
    }

    #[test]
    fn a_line_names_its_rank_if_that_is_not_the_first() {
        let lines = Arc::default();
        for rank in [0, 3] {
            let logger = Ranked { logger: Kept(Arc::clone(&lines)), rank };
            logger.log(&Record::builder().level(log::Level::Warn).args(format_args!("no room")).build());
        }
        assert_eq!(*lines.lock().unwrap(), ["no room", "[rank 3] no room"]);
    }
}
