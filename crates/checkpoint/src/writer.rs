//! Writing checkpoints while training goes on.

use crate::{Error, Snapshot, Store};
use std::{
    path::PathBuf,
    thread::{Builder, JoinHandle},
    time::Instant,
};

/// Writes checkpoints in the background, one at a time. Dropping it waits for the one that is being written; an error
/// that nobody has asked for then goes to the log.
#[derive(Debug)]
pub struct Writer {
    store: Store,
    last: Option<Last>,
}

/// What became of a checkpoint that was handed to a [`Writer`].
#[derive(Debug)]
pub struct Saved {
    /// The folder of the checkpoint.
    pub path: PathBuf,
    /// Its step.
    pub step: u64,
    /// The bytes of its tensors.
    pub bytes: u64,
    /// Seconds from the hand-over to the publication, without the wait for an earlier one.
    pub seconds: f64,
}

type Outcome = Result<Saved, Error>;

/// The last checkpoint, as long as nobody knows what became of it.
#[derive(Debug)]
enum Last {
    Writing { step: u64, thread: JoinHandle<Outcome> },
    NotStarted(Error),
}

impl Writer {
    /// Writes into `store`. Nothing else may save into it meanwhile.
    pub fn new(store: Store) -> Self {
        Self { store, last: None }
    }

    /// Where the checkpoints are.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Starts to write `snapshot`, whose tensors nobody may change any more: see [`Snapshot::copied`]. Where another is
    /// still being written, waits for it first; gives what became of that one, if nobody has asked yet.
    pub fn save(&mut self, snapshot: Snapshot) -> Option<Result<Saved, Error>> {
        let before = self.wait();
        let (store, step, start) = (self.store.clone(), snapshot.progress.step, Instant::now());
        self.start(Builder::new(), step, move || {
            let path = store.write(&snapshot)?;
            let saved = Saved { path, step, bytes: snapshot.bytes(), seconds: start.elapsed().as_secs_f64() };
            store.tidy(&saved.path);
            Ok(saved)
        });
        before
    }

    /// What became of the last one, if its writing has ended and nobody has asked yet. Does not wait.
    pub fn poll(&mut self) -> Option<Result<Saved, Error>> {
        match &self.last {
            Some(Last::Writing { thread, .. }) if !thread.is_finished() => None,
            _ => self.wait(),
        }
    }

    /// Waits for the end of the last one, and gives what became of it, if nobody has asked yet.
    pub fn wait(&mut self) -> Option<Result<Saved, Error>> {
        let outcome = match self.last.take()? {
            Last::NotStarted(error) => Err(error),
            Last::Writing { step, thread } => thread.join().unwrap_or_else(|panic| {
                // Thrown and caught once more, because what was said is taken from a panic in one place only.
                let said = contract::caught(|| std::panic::resume_unwind(panic));
                Err(Error::Panicked { step, problem: said.unwrap_or_else(|said| said) })
            }),
        };
        Some(outcome)
    }

    /// Starts `work` on a thread of its own. The last one's outcome must have been taken.
    pub(crate) fn start(&mut self, thread: Builder, step: u64, work: impl FnOnce() -> Outcome + Send + 'static) {
        self.last = Some(match thread.name("checkpoint".into()).spawn(work) {
            Ok(thread) => Last::Writing { step, thread },
            Err(source) => Last::NotStarted(Error::Thread { step, source }),
        });
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.wait() {
            log::error!("{error}");
        }
    }
}
