//! Saves checkpoints when they are due, in the background.

use crate::error::{Error, Result};
use crate::folder::valid;
use crate::settings::{OnError, Save};
use checkpoint::{BackgroundWriter, Saved, Snapshot, Store};
use contract::{Progress, Scores, StateDict};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

/// States of all parts by name.
pub type States = BTreeMap<String, StateDict>;

/// Saves the checkpoints of a run.
pub struct Saver {
    writer: BackgroundWriter,
    when: Save,
    about: Value,
    /// Time when the last checkpoint was handed to the writer.
    since: Instant,
    /// Progress at that time.
    last: Option<Progress>,
    /// Step of the last one that is known to exist: of those written here, or the one that training resumed from.
    saved_step: Option<u64>,
    /// Path of the last one that was written.
    saved: Option<PathBuf>,
    /// Error of the last one, if it was not written.
    failed: Option<checkpoint::Error>,
    warned: bool,
}

impl Saver {
    /// Creates a saver into `store`, of a training that resumes `from` there; each checkpoint carries the record
    /// `about`.
    pub fn new(store: Store, when: &Save, about: Value, from: Progress) -> Self {
        let last = (from != Progress::default()).then_some(from);
        let (writer, when, saved_step) = (BackgroundWriter::new(store), when.clone(), last.map(|at| at.step));
        let since = Instant::now();
        Self { writer, when, about, since, last, saved_step, saved: None, failed: None, warned: false }
    }

    /// Waits for the checkpoint that is being written, ignores whether that failed, and returns the step of the last
    /// one that exists.
    pub fn settle(&mut self) -> Option<u64> {
        if let Some(Ok(saved)) = self.writer.wait() {
            self.saved_step = Some(saved.step);
        }
        self.saved_step
    }

    /// Checks, before the first step of `epochs` epochs of `batches` batches, that checkpoints of `states` can be
    /// written and that the disk has room for them, `for_good` of which are never removed.
    pub fn prepare(&self, states: States, epochs: u64, batches: u64, for_good: u64) -> Result<()> {
        let snapshot = Snapshot { progress: Progress::default(), states, scores: BTreeMap::new(), about: Value::Null };
        let Save { every_epochs, every_steps, every_minutes, .. } = &self.when;
        let saves = match every_minutes {
            Some(_) => u64::MAX,
            None => epochs / every_epochs + 2 + every_steps.map_or(0, |steps| epochs.saturating_mul(batches) / steps),
        };
        let room = self.writer.store().prepare(snapshot.bytes(), for_good, saves)?;
        if room.needed > room.free {
            log::warn!("{room}: free some space, or lower checkpoint.keep_last");
        }
        Ok(())
    }

    /// Waits for the checkpoint that is being written, and loads the newest.
    pub fn newest(&mut self) -> Result<Option<(PathBuf, Snapshot)>> {
        self.wait()?;
        valid(self.writer.store().newest()?)
    }

    /// Returns true if a checkpoint is due after a step, by the number of steps.
    pub fn due(&self, at: Progress) -> bool {
        self.when.every_steps.is_some_and(|steps| at.step.is_multiple_of(steps))
    }

    /// Returns true if a checkpoint is due at the end of one of `epochs` epochs, by the number of epochs or steps.
    pub fn due_at_end(&self, at: Progress, epochs: u64) -> bool {
        at.epoch.is_multiple_of(self.when.every_epochs) || at.epoch == epochs || self.due(at)
    }

    /// Returns true if a checkpoint is due by the clock.
    pub fn late(&self) -> bool {
        let minutes = |minutes: f64| self.since.elapsed().as_secs_f64() >= minutes * 60.0;
        self.when.every_minutes.is_some_and(minutes)
    }

    /// Starts to write a checkpoint of `states`, from which training resumes `at` that place. Waits for the previous
    /// one to be written, and for a copy of the states.
    pub fn save(&mut self, states: States, at: Progress, validation: &Scores) -> Result<()> {
        if self.last == Some(at) {
            return Ok(());
        }
        // Waited for before the copy is made, so that there are never two copies.
        self.wait()?;
        let started = Instant::now();
        let snapshot = self.snapshot(states, at, validation).copied()?;
        log::debug!("Copied the state of step {} in {:.3} s", at.step, started.elapsed().as_secs_f64());
        self.writer.save(snapshot);
        (self.since, self.last) = (Instant::now(), Some(at));
        Ok(())
    }

    fn snapshot(&self, states: States, at: Progress, validation: &Scores) -> Snapshot {
        // None within an epoch: those of the epoch before could make this checkpoint the best.
        let scores = if at.batch == 0 { validation.iter().cloned().collect() } else { BTreeMap::new() };
        Snapshot { progress: at, states, scores, about: self.about.clone() }
    }

    /// Saves what was learnt before an error that ends the training, and waits for it. Does nothing if the last
    /// checkpoint is of the same place. Removes no other checkpoint: a run that is restarted and fails again and again
    /// must not replace good ones by those before its failures.
    pub fn save_before_error(&mut self, states: States, at: Progress, validation: &Scores) -> Result<()> {
        if let Err(error) = self.wait() {
            log::error!("{error}");
        }
        if self.last == Some(at) {
            return Ok(());
        }
        let snapshot = self.snapshot(states, at, validation).copied()?;
        let path = self.writer.store().clone().keeping_all().save(&snapshot)?;
        (self.last, self.saved_step, self.saved) = (Some(at), Some(at.step), Some(path));
        Ok(())
    }

    /// Reports checkpoints written meanwhile.
    pub fn poll(&mut self) -> Result<()> {
        let outcome = self.writer.poll();
        self.hear(outcome)
    }

    /// Waits for the checkpoint that is being written, and reports it.
    pub fn wait(&mut self) -> Result<()> {
        let outcome = self.writer.wait();
        self.hear(outcome)
    }

    /// Waits for the last checkpoint. Fails if it could not be written.
    pub fn finish(&mut self) -> Result<()> {
        self.wait()?;
        if let Some(error) = self.failed.take() {
            return Err(Error::Checkpoint {
                doing: Some("the last checkpoint was not written"),
                cause: Box::new(error),
            });
        }
        if let Some(path) = &self.saved {
            log::info!("Saved checkpoint: {}", path.display());
        }
        Ok(())
    }

    fn hear(&mut self, outcome: Option<std::result::Result<Saved, checkpoint::Error>>) -> Result<()> {
        match outcome {
            None => Ok(()),
            Some(Ok(saved)) => {
                self.failed = None;
                log::debug!("Saved checkpoint: {} ({:.2} s)", saved.path.display(), saved.seconds);
                (self.saved_step, self.saved) = (Some(saved.step), Some(saved.path));
                self.compare_with_grace(saved.seconds);
                Ok(())
            }
            Some(Err(error)) => {
                // Saving the same step again is a new attempt.
                self.last = None;
                let ends = matches!(error, checkpoint::Error::NotFinite { .. } | checkpoint::Error::Refused { .. });
                if self.when.on_error == OnError::Stop || ends {
                    return Err(Error::Checkpoint {
                        doing: Some("the checkpoint was not written"),
                        cause: Box::new(error),
                    });
                }
                log::error!("The checkpoint was not written, and training goes on (checkpoint.on_error): {error}");
                self.failed = Some(error);
                Ok(())
            }
        }
    }

    fn compare_with_grace(&mut self, seconds: f64) {
        let grace = self.when.grace_seconds;
        if seconds > grace as f64 && !self.warned {
            self.warned = true;
            log::warn!(
                "Saving took {seconds:.0} s, and checkpoint.grace_seconds is {grace}: when the system stops this run, its \
                 last steps may be lost. Ask the system for more time, or save to a faster disk"
            );
        }
    }
}
