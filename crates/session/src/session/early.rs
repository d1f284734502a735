//! The end of a training whose validation score has stopped improving.

use super::Session;
use crate::error::{Error, Result};
use crate::states::Own;
use contract::Progress;
use executors::Training;

impl Session<'_> {
    /// Hands the scores of the validated end of an epoch to what follows them. All ranks have the same scores.
    pub(super) fn follow(&mut self, training: &mut Training) -> Result<()> {
        let rule = self.settings.early_stopping.as_ref();
        // Looked up first: what fails must not leave the optimizer with scores that come again.
        let score = rule.map(|rule| rule.of(&self.validation)).transpose().map_err(Error::Caller)?;
        training.trainer.optimizer.scored(&self.validation).map_err(Error::Caller)?;
        let (Some(rule), Some(score)) = (rule, score) else { return Ok(()) };
        self.waiting.see(rule, score);
        self.ended = self.waiting.is_over(rule);
        let now = self.at;
        if self.ended && now.epoch < training.trainer.epochs {
            self.asked.save = true;
            self.tell_of_the_end(now)?;
        }
        Ok(())
    }

    /// Returns the session's own parts of a checkpoint.
    pub(super) fn own(&self) -> Own<'_> {
        let stopping = self.settings.early_stopping.as_ref().map(|rule| (rule, &self.waiting));
        Own { recovery: &self.recovery, stopping }
    }

    /// Logs that the training ends early, and why.
    fn tell_of_the_end(&mut self, now: Progress) -> Result<()> {
        let (Some(rule), true) = (&self.settings.early_stopping, self.lockstep.writes()) else { return Ok(()) };
        let (score, waited) = (&rule.score, self.waiting.waited);
        let best = self.waiting.best.map_or("no value that is finite".into(), |best| format!("{best:.4}"));
        log::info!(
            "Training ends early, after epoch {}: {score} has not improved on {best} for {waited} epochs \
             (early_stopping.patience)",
            now.epoch
        );
        let mut scalars = vec![(summary::STOPPED_EARLY.to_string(), waited as f64)];
        scalars.extend(self.waiting.best.map(|best| (format!("best/{score}"), best)));
        self.journal.notes.write(|summary| summary.epoch(summary::Stage::Run, now.epoch, now.step, &scalars))
    }
}
