//! Writes checkpoints while training continues.

use crate::{Error, Snapshot, Store};
use std::{
    path::PathBuf,
    thread::{Builder, JoinHandle},
    time::Instant,
};

/// Writer of checkpoints in the background, one at a time. Dropping it waits for the one that is being written, and
/// logs an error that was not returned by then.
#[derive(Debug)]
pub struct BackgroundWriter {
    store: Store,
    last: Option<Last>,
}

/// A checkpoint that a [`BackgroundWriter`] has published.
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

/// The last checkpoint, until its outcome is returned.
#[derive(Debug)]
enum Last {
    Writing { step: u64, thread: JoinHandle<Outcome> },
    NotStarted(Error),
}

impl BackgroundWriter {
    /// Creates a writer into `store`. Nothing else may save into it meanwhile.
    pub fn new(store: Store) -> Self {
        Self { store, last: None }
    }

    /// Returns the store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Starts to write `snapshot`, whose tensors must not change any more: see [`Snapshot::copied`]. Waits first for a
    /// checkpoint that is still being written. Returns the previous outcome, if it was not returned yet.
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

    /// Returns the outcome of the last checkpoint, if its writing has ended and it was not returned yet. Does not wait.
    pub fn poll(&mut self) -> Option<Result<Saved, Error>> {
        match &self.last {
            Some(Last::Writing { thread, .. }) if !thread.is_finished() => None,
            _ => self.wait(),
        }
    }

    /// Waits for the last checkpoint and returns its outcome, if it was not returned yet.
    pub fn wait(&mut self) -> Option<Result<Saved, Error>> {
        let outcome = match self.last.take()? {
            Last::NotStarted(error) => Err(error),
            Last::Writing { step, thread } => thread.join().unwrap_or_else(|panic| {
                // Thrown and caught once more, because only `caught` extracts the message of a panic.
                let said = contract::caught(|| std::panic::resume_unwind(panic));
                Err(Error::Panicked { step, problem: said.unwrap_or_else(|said| said) })
            }),
        };
        Some(outcome)
    }

    /// Starts `work` on its own thread. The last one's outcome must have been taken.
    pub(crate) fn start(&mut self, thread: Builder, step: u64, work: impl FnOnce() -> Outcome + Send + 'static) {
        self.last = Some(match thread.name("checkpoint".into()).spawn(work) {
            Ok(thread) => Last::Writing { step, thread },
            Err(source) => Last::NotStarted(Error::Thread { step, source }),
        });
    }
}

impl Drop for BackgroundWriter {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.wait() {
            log::error!("{error}");
        }
    }
}
