//! The end of a training that failed: what was learnt is saved, and messages say how to resume.

use super::Session;
use crate::error::{Error, Gone, Result};
use crate::states::states;
use contract::Progress;
use executors::{Error as Failure, Training};

impl Session<'_> {
    /// Runs `run`. If it fails, saves what was learnt before the error, if that is sound.
    pub(super) fn saving<T>(
        &mut self,
        training: &mut Training,
        run: impl FnOnce(&mut Self, &mut Training) -> Result<T>,
    ) -> Result<T> {
        run(self, training).map_err(|error| self.rescue(training, error))
    }

    fn rescue(&mut self, training: &mut Training, error: Error) -> Error {
        let now = training.progress();
        let Some(lock) = &self.lock else { return error };
        if let Err(missing) = lock.check() {
            let again = missing.moved().map(|to| self.to_go_on(to));
            return gone(missing, now, self.saver.settle(), again);
        }
        // Before the first step nothing was learnt, and whoever mends the settings starts anew.
        let sound = self.sound.take().filter(|at| at.step > 0 && self.lockstep.is_sound());
        let saved = sound.map(|at| self.save_alone(training, at));
        match saved.transpose().map(Option::flatten) {
            Ok(_) if now.step == 0 => {}
            Ok(saved) => {
                let command = self.to_go_on(self.folder.path());
                tell(&command, &error, saved, self.saver.settle(), self.lockstep.is_alone());
            }
            Err(unsaved) => log::error!("What was learnt could not be saved: {unsaved}"),
        }
        error
    }

    /// Saves without the other ranks, which may be gone: their metrics are missing, and resuming says so. None if only
    /// all ranks together could save.
    fn save_alone(&mut self, training: &mut Training, at: Progress) -> Result<Option<Progress>> {
        // No checkpoint before the guard has seen the steps that go into it.
        let troubles = self.guard.epoch(None)?.troubles;
        if !self.lockstep.is_alone() && (self.waits || !troubles.is_empty()) {
            return Ok(None);
        }
        self.recovery.recover(troubles, training, &mut self.saver, &self.lockstep)?;
        let states = states(training, self.own(), &self.lockstep)?;
        self.saver.save_before_error(states, at, &self.validation)?;
        Ok(Some(at))
    }
}

/// Returns the error that ends a training whose folder is `gone`: nothing can be saved.
fn gone(gone: Gone, now: Progress, saved: Option<u64>, again: Option<String>) -> Error {
    let lost = match saved {
        Some(step) if step == now.step => format!("all of it is in the checkpoint of step {step}"),
        Some(step) => format!("what it learnt after the checkpoint of step {step} is lost"),
        None => "it had no checkpoint yet".into(),
    };
    let again = again.map(|command| format!(". To go on: {command}")).unwrap_or_default();
    let said = format!(". Training ended at step {}; {lost}{again}", now.step);
    Error::Gone { gone, said }
}

/// Logs what was saved before `error`, and how to resume with `command`. `saved` is the progress of the checkpoint,
/// None if the error came in the middle of a change, so that there is nothing sound to save; `before` is the step of
/// the checkpoint before. A process that does not train `alone` may fail for the sake of another one.
fn tell(command: &str, error: &Error, saved: Option<Progress>, before: Option<u64>, alone: bool) {
    let Some(at) = saved else {
        // Other errors speak for themselves.
        if !matches!(error, Error::Loop(_) | Error::Ranks(_)) {
            return;
        }
        let last =
            before.map_or("there is no checkpoint yet".into(), |step| format!("the last is that of step {step}"));
        log::warn!("The error came in the middle of a change, of which no checkpoint can be made; {last}");
        return;
    };
    log::info!("What was learnt up to step {} is saved. To go on: {command}", at.step);
    match error {
        _ if !alone => {}
        Error::Loop(Failure::Input { .. }) => log::info!(
            "It will meet the same sample there: put its file right first, or let such samples be left out \
             (--set data.loader.max_skipped=1, or more)"
        ),
        Error::Loop(_) => log::info!(
            "It will meet the same samples there. If memory was short, that is enough once there is more of it; an \
             error that comes again at this place is in the model, the loss or these samples"
        ),
        _ => {}
    }
}
