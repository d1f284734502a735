//! The session: everything around the steps of a training, in one visible order.

mod access;
mod begin;
mod early;
mod rescue;

use crate::error::{Error, Result};
use crate::folder::{Folder, shell_quoted};
use crate::guard::Guard;
use crate::journal::Journal;
use crate::lock::Lock;
use crate::lockstep::{Asked, Lockstep};
use crate::recovery::Recovery;
use crate::saver::Saver;
use crate::screen::Pace;
use crate::settings::Settings;
use crate::signals::Signals;
use crate::states::{add_metrics, states};
use crate::stopping::Waiting;
use crate::times::Phase;
use contract::{BoxError, Event, Progress, Scores};
use executors::Training;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// A training run under way. Dropping it closes the display; what is not saved by then is lost.
pub struct Session<'s> {
    folder: Folder,
    /// None on a rank that does not write.
    lock: Option<Arc<Lock>>,
    settings: Settings,
    signals: &'s Signals,
    saver: Saver,
    guard: Guard,
    recovery: Recovery,
    waiting: Waiting,
    /// True if the early stopping has ended the training.
    ended: bool,
    journal: Journal,
    /// Progress at which a checkpoint of the present state resumes; None while the state is being changed.
    sound: Option<Progress>,
    /// Progress at which the next checkpoint resumes.
    at: Progress,
    /// Scores of the last complete validation.
    validation: Scores,
    /// True if these are of the end of an epoch, and the optimizer was not given them.
    unscored: bool,
    has_validated: bool,
    /// Speed of the training of the epoch that ended.
    pace: Pace,
    /// Requests since the last [`settle`](Self::settle).
    asked: Asked,
    /// True if gradients of several ranks wait for an update, so that no checkpoint can be made.
    waits: bool,
    stopped: bool,
    lockstep: Lockstep<'s>,
}

/// Point that a training has reached.
#[derive(Debug)]
#[non_exhaustive]
pub enum Reached {
    /// The end of a step.
    #[non_exhaustive]
    Step {
        /// Progress after it.
        progress: Progress,
    },
    /// The end of an epoch's training: validate, then call [`Session::epoch`].
    #[non_exhaustive]
    Epoch {
        /// Progress after it: `progress.epoch` epochs are finished.
        progress: Progress,
        /// Scores of the training.
        scores: Scores,
    },
}

/// End of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All epochs are done, or the early stopping has ended it.
    Finished,
    /// It was asked to stop, and can be resumed.
    Stopped,
}

impl<'s> Session<'s> {
    /// Trains to the end of the next step, or of the epoch; None at the end of the run. A step passes the guard, and is
    /// logged and shown.
    ///
    /// # Errors
    ///
    /// Fails if a part does; what was learnt until then is saved first, if it is sound.
    pub fn next(&mut self, training: &mut Training) -> Result<Option<Reached>> {
        self.saving(training, Self::advance)
    }

    fn advance(&mut self, training: &mut Training) -> Result<Option<Reached>> {
        if self.stopped || self.ended {
            return Ok(None);
        }
        self.check_lock()?;
        let before = training.progress();
        let Some(event) = training.next() else { return Ok(None) };
        training.trainer.remarks().iter().for_each(|remark| log::info!("{remark}"));
        training.trainer.warning().iter().for_each(|warning| log::warn!("{warning}"));
        if let Err(error) = &event {
            use executors::Error::{Optimizer, Replay};
            let in_update = matches!(error, Optimizer { .. } | Replay { .. });
            let unchanged = !in_update || training.trainer.optimizer.is_unchanged();
            self.sound = self.sound.filter(|_| unchanged);
        }
        let event = event?;
        self.sound = None;
        let now = training.progress();
        self.at = now;
        let by_key = self.journal.screen.asked();
        let mut own = Asked {
            preempted: self.signals.stop(),
            stop: by_key.stop,
            save: self.signals.take_save() || by_key.save,
            validate: by_key.validate,
            late: false,
        };
        let until = self.settings.until_step.is_some_and(|step| now.step >= step);
        match event {
            Event::Step { loss, update, names, .. } => {
                let learning_rate = training.trainer.optimizer.learning_rate();
                // The end of an epoch has a checkpoint of its own.
                let within = now.batch < training.trainer.input.len();
                own.late = within && self.lockstep.writes() && self.saver.late();
                let certain = Asked { stop: until, save: within && self.saver.due(now), ..Asked::default() };
                self.waits = update.is_none() && !self.lockstep.is_alone();
                let asked = self.lockstep.step(own, certain, self.waits);
                self.asked = asked.as_ref().copied().unwrap_or_default();
                self.asked.stop |= self.asked.preempted;
                self.asked.save |= self.asked.stop || self.asked.late;
                self.asked.validate &= !self.asked.stop;
                let count = (now.samples - before.samples) as usize;
                // No checkpoint before the guard has seen the steps that go into it, nor after a rank was lost.
                let readings = self.guard.step(now, names, loss, update, self.asked.save || asked.is_err())?;
                self.sound = readings.troubles.is_empty().then_some(now);
                asked?;
                self.journal.times.lap_of_step(training.take_waits());
                self.journal.step(count, &readings, learning_rate)?;
                self.recovery.recover(readings.troubles, training, &mut self.saver, &self.lockstep)?;
                self.sound = Some(now);
                Ok(Some(Reached::Step { progress: now }))
            }
            Event::Epoch { scores, update, .. } => {
                self.waits = false;
                let troubles = self.guard.epoch(update)?.troubles;
                self.recovery.recover(troubles, training, &mut self.saver, &self.lockstep)?;
                // Until it is validated, the end of the epoch comes once more when the run is resumed.
                let all_batches = Progress { epoch: now.epoch - 1, batch: training.trainer.input.len(), ..now };
                (self.sound, self.at) = (Some(all_batches), all_batches);
                self.journal.times.lap_of_step(training.take_waits());
                own.late = self.lockstep.writes() && self.saver.late();
                self.asked = self.lockstep.now(Asked { stop: own.stop || until, ..own })?;
                self.asked.stop |= self.asked.preempted;
                self.asked.save |= self.asked.stop;
                self.asked.validate &= !self.asked.stop;
                let first = !std::mem::replace(&mut self.has_validated, true);
                let due = self.saver.due_at_end(now, training.trainer.epochs) || self.asked.late;
                if first && due {
                    // The first validation is where a process is killed for the memory it takes.
                    self.save(training, &Scores::new())?;
                    self.lockstep.first(|| self.saver.wait())?;
                    self.journal.times.lap(Phase::Checkpoint);
                }
                self.sound = Some(all_batches);
                self.pace = self.journal.screen.pace();
                Ok(Some(Reached::Epoch { progress: now, scores }))
            }
        }
    }

    /// Validates by `run`, with the averaged weights if the optimizer keeps them, and shows it. `run` is given a
    /// function to call with the number of samples after each batch, as [`Validator::test`](executors::Validator::test)
    /// does, which breaks off if a signal asks to stop. Returns the scores, None after such a signal.
    ///
    /// # Errors
    ///
    /// Those of `run`; what was learnt is saved first.
    pub fn validate(
        &mut self,
        training: &mut Training,
        run: impl FnOnce(&mut dyn FnMut(usize) -> ControlFlow<()>) -> std::result::Result<Option<Scores>, executors::Error>,
    ) -> Result<Option<Scores>> {
        self.saving(training, |session, training| session.measure(training, run))
    }

    fn measure(
        &mut self,
        training: &mut Training,
        run: impl FnOnce(&mut dyn FnMut(usize) -> ControlFlow<()>) -> std::result::Result<Option<Scores>, executors::Error>,
    ) -> Result<Option<Scores>> {
        let now = training.progress();
        let at_end = now.batch == 0;
        swap_average(training)?;
        let since = Instant::now();
        let (signals, lockstep) = (self.signals, &mut self.lockstep);
        let mut lost = None;
        let measured = {
            let mut watch = self.journal.screen.validation();
            run(&mut |samples| {
                watch.step(samples);
                match lockstep.breaks_off(signals.stop()) {
                    Ok(false) => ControlFlow::Continue(()),
                    Ok(true) => ControlFlow::Break(()),
                    Err(error) => {
                        lost = Some(error);
                        ControlFlow::Break(())
                    }
                }
            })
        };
        // Until they are swapped back, the weights are not those to resume with.
        let sound = self.sound.take();
        swap_average(training)?;
        self.sound = sound;
        let measured = measured?;
        if let Some(error) = lost {
            return Err(error);
        }
        log::debug!("Validated in {:.1} s", since.elapsed().as_secs_f64());
        match &measured {
            Some(scores) if at_end => (self.validation, self.at, self.unscored) = (scores.clone(), now, true),
            Some(scores) => self.journal.screen.validated(now, scores),
            None => {}
        }
        self.journal.times.lap(Phase::Validation);
        Ok(measured)
    }

    /// Logs and shows the epoch that ended, with the scores of its training and those of the last validation. Does
    /// nothing if that validation was broken off: the end of the epoch comes once more when the run is resumed.
    ///
    /// # Errors
    ///
    /// Fails if the log cannot be written, and the settings do not let the run go on then.
    pub fn epoch(&mut self, training: &mut Training, scores: &Scores) -> Result<()> {
        self.saving(training, |session, training| {
            let now = training.progress();
            session.journal.times.lap(Phase::Logging);
            let asked = session.lockstep.now(Asked {
                preempted: session.signals.stop(),
                stop: session.journal.screen.stops_after_epoch(),
                late: session.lockstep.writes() && session.saver.late(),
                ..Asked::default()
            })?;
            session.asked.preempted |= asked.preempted;
            session.asked.stop |= asked.preempted || asked.stop;
            let epochs = training.trainer.epochs;
            if session.at == now {
                let norm = session.guard.take_gradient_norm();
                let learning_rate = training.trainer.optimizer.learning_rate();
                let scores = [scores, &session.validation];
                session.journal.epoch(now, session.pace, learning_rate, norm, scores)?;
                if now.epoch < epochs {
                    session.journal.screen.start_epoch(now);
                }
            }
            let due = session.saver.due_at_end(now, epochs) || asked.late || asked.save;
            session.asked.save |= session.asked.stop || due;
            Ok(())
        })
    }

    /// Ends the step or the epoch. At a validated end of an epoch the optimizer is [given its
    /// scores](contract::Optimizer::scored). Saves a checkpoint if one is due, and stops if that was asked for or the
    /// score has stopped improving: then the loop must end, by [`finish`](Self::finish).
    ///
    /// # Errors
    ///
    /// Fails if the optimizer misses a score, or if a checkpoint cannot be written, and the settings do not let the run
    /// go on then.
    pub fn settle(&mut self, training: &mut Training) -> Result<ControlFlow<()>> {
        self.saving(training, |session, training| {
            if std::mem::take(&mut session.unscored) {
                // Up to here a checkpoint resumes before the validation, which would be given to the optimizer twice.
                session.follow(training)?;
                session.sound = Some(session.at);
            }
            let asked = std::mem::take(&mut session.asked);
            if asked.save {
                let validation = session.validation.clone();
                session.save(training, &validation)?;
            }
            session.saver.poll()?;
            session.journal.times.lap(Phase::Checkpoint);
            if session.ended {
                return Ok(ControlFlow::Break(()));
            }
            if asked.stop && session.at.epoch < training.trainer.epochs {
                session.lockstep.first(|| {
                    session.saver.finish()?;
                    session.journal.notes.finish()?;
                    session.journal.screen.close();
                    session.lock.iter().try_for_each(|lock| lock.check())?;
                    Ok(())
                })?;
                if asked.preempted {
                    session.requeue();
                }
                session.stopped = true;
                return Ok(ControlFlow::Break(()));
            }
            session.sound = Some(session.at);
            Ok(ControlFlow::Continue(()))
        })
    }

    /// Ends: waits for the last checkpoint, logs the outcome and closes the display.
    ///
    /// # Errors
    ///
    /// Fails if the last checkpoint or the last lines cannot be written.
    pub fn finish(&mut self, training: &mut Training) -> Result<Outcome> {
        let now = training.progress();
        if self.stopped {
            if !self.writes() {
                return Ok(Outcome::Stopped);
            }
            log::info!("Stopped at step {}. To go on: {}", now.step, self.to_go_on(self.folder.path()));
            return Ok(Outcome::Stopped);
        }
        self.saving(training, |session, _| {
            session.sound = None;
            session.lockstep.first(|| {
                session.saver.finish()?;
                let compared = &session.settings.show.compared;
                if !compared.is_empty() {
                    let of_run = |(name, _): &&(String, f64)| compared.contains(name);
                    let scores: Scores = session.validation.iter().filter(of_run).cloned().collect();
                    session.journal.notes.outcome(now, &scores)?;
                }
                session.journal.notes.finish()?;
                session.journal.screen.close();
                Ok(())
            })?;
            Ok(Outcome::Finished)
        })
    }

    /// Does something of the caller's within the loop, such as writing pictures. If it fails, what was learnt is saved
    /// first, as for an error of the session's own.
    ///
    /// # Errors
    ///
    /// Those of `run`.
    pub fn with<T>(
        &mut self,
        training: &mut Training,
        run: impl FnOnce(&mut Self) -> std::result::Result<T, BoxError>,
    ) -> Result<T> {
        self.saving(training, |session, _| run(session).map_err(Error::Caller))
    }

    /// Returns what a person does to resume the run in `folder`.
    fn to_go_on(&self, folder: &Path) -> String {
        let again = || "start the program again".to_string();
        self.settings.command.as_ref().map_or_else(again, |command| format!("{command} {}", shell_quoted(folder)))
    }

    fn save(&mut self, training: &mut Training, validation: &Scores) -> Result<()> {
        self.journal.notes.flush()?;
        self.sound = None;
        let mut states = states(training, self.own(), &self.lockstep)?;
        add_metrics(&mut states, training, &self.lockstep)?;
        self.lockstep.first(|| self.saver.save(states, self.at, validation))
    }
}

fn swap_average(training: &mut Training) -> Result<()> {
    let average = training.trainer.optimizer.average();
    average.map_or(Ok(()), |average| average.swap()).map_err(Error::Caller)
}

#[cfg(test)]
mod tests;
