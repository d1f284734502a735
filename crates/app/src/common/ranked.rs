//! The place of this process among those that train together, as its launcher gave it, and its name in the log.

use crate::common::usage::usage;
use anyhow::Result;
use distributed::World;
use log::{Log, Metadata, Record};
use std::env;

/// Variable with the process id of the launcher, in the environment of the ranks that `app train --nproc` starts.
pub const LAUNCHER: &str = "OXISEG_LAUNCHER";

/// Returns the place of this process among those that train together.
///
/// # Errors
///
/// Fails if the launcher's variables are missing, malformed or contradict each other.
pub fn world() -> Result<World> {
    World::from_env().map_err(|error| usage(error.to_string()))
}

/// Returns the rank of this process; 0 where its launcher's variables are wrong, which a training reports.
pub fn rank() -> usize {
    World::from_env().map_or(0, |world| world.rank)
}

/// Returns the number among the ranks of this machine; None if this process works alone.
pub fn local_rank() -> Option<usize> {
    World::from_env().ok().filter(|world| world.count > 1).map(|world| world.local_rank)
}

/// Returns the number of ranks on this machine, this one included.
pub fn local_count() -> usize {
    World::from_env().map_or(1, |world| world.local_count)
}

/// Returns the warning that the ranks of this machine share its GPUs, of which this one sees some. None for all ranks
/// but the first of the machine, and where each rank may have a GPU that its launcher hides from the others.
pub fn sharing(gpus: usize) -> Option<String> {
    let world = World::from_env().ok().filter(|world| world.local_rank == 0)?;
    sharing_of(world.local_count, gpus, gpus == 1 && env::var_os(LAUNCHER).is_none())
}

fn sharing_of(ranks: usize, gpus: usize, others_hidden: bool) -> Option<String> {
    let shared = if gpus == 1 { "the GPU".into() } else { format!("{gpus} GPUs") };
    (ranks > gpus && !others_hidden).then(|| {
        format!(
            "{ranks} ranks share {shared} of this machine. They take turns, and their gradients travel over Gloo, \
             since NCCL wants a GPU for each rank: a rank per GPU (--nproc auto) is faster"
        )
    })
}

/// Returns true if a launcher gave this process a rank, the only one perhaps.
pub fn is_launched() -> bool {
    env::var_os("RANK").is_some()
}

/// Returns the command that resumes a run, but for its folder.
pub fn command() -> String {
    match World::from_env() {
        Ok(world) if env::var_os(LAUNCHER).is_some() && world.is_local() => {
            format!("app train --nproc {} --run", world.count)
        }
        _ => "app train --run".into(),
    }
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
    fn ranks_that_share_gpus_are_warned_of() {
        assert!(sharing_of(2, 1, false).unwrap().starts_with("2 ranks share the GPU of this machine"));
        assert!(sharing_of(9, 8, false).unwrap().starts_with("9 ranks share 8 GPUs of this machine"));
        assert_eq!((sharing_of(8, 8, false), sharing_of(1, 1, false), sharing_of(8, 1, true)), (None, None, None));
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
