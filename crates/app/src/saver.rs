//! When a checkpoint is due, and what becomes of it: it is written in the background while training goes on.

use crate::run::valid;
use anyhow::{Context, Result};
use checkpoint::{Config, Error, OnError, Saved, Snapshot, Store, Writer};
use contract::{Progress, Scores, StateDict};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

/// The states of all parts by name.
type States = BTreeMap<String, StateDict>;

/// Saves a run.
pub struct Saver {
    writer: Writer,
    config: Config,
    about: Value,
    /// When the last checkpoint was handed over.
    since: Instant,
    /// Where training stood then.
    last: Option<Progress>,
    /// The step of the last one that is known to be there: of those written here, or the one that training began from.
    saved_step: Option<u64>,
    /// The last one that is there.
    saved: Option<PathBuf>,
    /// Why the last one is not there.
    failed: Option<Error>,
    warned: bool,
}

impl Saver {
    /// A saver into `store` of a training `from` there on; every checkpoint says `about` itself.
    pub fn new(store: Store, config: &Config, about: Value, from: Progress) -> Self {
        let last = (from != Progress::default()).then_some(from);
        let (writer, config, saved_step) = (Writer::new(store), config.clone(), last.map(|at| at.step));
        let since = Instant::now();
        Self { writer, config, about, since, last, saved_step, saved: None, failed: None, warned: false }
    }

    /// The step of the last checkpoint that is there, once the one being written is. What became of that is nobody's
    /// concern any more.
    pub fn settle(&mut self) -> Option<u64> {
        if let Some(Ok(saved)) = self.writer.wait() {
            self.saved_step = Some(saved.step);
        }
        self.saved_step
    }

    /// Before the first step of `epochs` of `batches` each: sees that checkpoints of `states` can be written, and that
    /// there is room for them.
    pub fn prepare(&self, states: States, epochs: u64, batches: u64) -> Result<()> {
        let snapshot = Snapshot { progress: Progress::default(), states, scores: BTreeMap::new(), about: Value::Null };
        let for_good = self.config.keep_every.map_or(0, |every| epochs / every);
        let Config { every_epochs, every_steps, every_minutes, .. } = &self.config;
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

    /// The newest checkpoint, once the one being written is there.
    pub fn newest(&mut self) -> Result<Option<(PathBuf, Snapshot)>> {
        self.wait()?;
        valid(self.writer.store().newest()?)
    }

    /// Whether a checkpoint is due after a step within an epoch.
    pub fn due(&self, at: Progress) -> bool {
        let minutes = |minutes: f64| self.since.elapsed().as_secs_f64() >= minutes * 60.0;
        self.config.every_steps.is_some_and(|steps| at.step.is_multiple_of(steps))
            || self.config.every_minutes.is_some_and(minutes)
    }

    /// Whether a checkpoint is due at the end of an epoch of `epochs`.
    pub fn due_at_end(&self, at: Progress, epochs: u64) -> bool {
        at.epoch.is_multiple_of(self.config.every_epochs) || at.epoch == epochs || self.due(at)
    }

    /// Starts to write a checkpoint of `states`, from which training continues `at` that place. Waits for a copy of them,
    /// and before that where the last one is still being written.
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
        // Within an epoch there are none: those of the epoch before would make this checkpoint the best.
        let scores = if at.batch == 0 { validation.iter().cloned().collect() } else { BTreeMap::new() };
        Snapshot { progress: at, states, scores, about: self.about.clone() }
    }

    /// Saves what was learnt before an error that ends the training, and waits for that; nothing where the last
    /// checkpoint is of this very place. No other checkpoint is removed: a run that is started again and again and
    /// fails each time must not replace good ones by those before its failures.
    pub fn save_before_error(&mut self, states: States, at: Progress, validation: &Scores) -> Result<()> {
        if let Err(error) = self.wait() {
            log::error!("{}", crate::in_words(&error));
        }
        if self.last == Some(at) {
            return Ok(());
        }
        let snapshot = self.snapshot(states, at, validation).copied()?;
        let path = self.writer.store().clone().keeping_all().save(&snapshot)?;
        (self.last, self.saved_step, self.saved) = (Some(at), Some(at.step), Some(path));
        Ok(())
    }

    /// Reports what has been written meanwhile.
    pub fn poll(&mut self) -> Result<()> {
        let outcome = self.writer.poll();
        self.hear(outcome)
    }

    /// Waits for the checkpoint that is being written, and reports what became of it.
    pub fn wait(&mut self) -> Result<()> {
        let outcome = self.writer.wait();
        self.hear(outcome)
    }

    /// Waits for the last checkpoint, and is an error if that could not be written.
    pub fn finish(&mut self) -> Result<()> {
        self.wait()?;
        if let Some(error) = self.failed.take() {
            return Err(error).context("the last checkpoint was not written");
        }
        if let Some(path) = &self.saved {
            log::info!("Saved checkpoint: {}", path.display());
        }
        Ok(())
    }

    fn hear(&mut self, outcome: Option<Result<Saved, Error>>) -> Result<()> {
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
                // The next one is a new try, also of the same step.
                self.last = None;
                let ends = matches!(error, Error::NotFinite { .. } | Error::Refused { .. });
                if self.config.on_error == OnError::Stop || ends {
                    return Err(error).context("the checkpoint was not written");
                }
                log::error!("The checkpoint was not written, and training goes on (checkpoint.on_error): {error}");
                self.failed = Some(error);
                Ok(())
            }
        }
    }

    fn compare_with_grace(&mut self, seconds: f64) {
        let grace = self.config.grace_seconds;
        if seconds > grace as f64 && !self.warned {
            self.warned = true;
            log::warn!(
                "Saving took {seconds:.0} s, and checkpoint.grace_seconds is {grace}: when the system stops this run, its \
                 last steps may be lost. Ask the system for more time, or save to a faster disk"
            );
        }
    }
}
