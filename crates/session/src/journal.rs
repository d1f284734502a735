//! Logs, times and displays a training as it goes on.

use crate::error::Result;
use crate::guard::Readings;
use crate::neighbours::Neighbours;
use crate::notes::Notes;
use crate::screen::{Pace, Screen};
use crate::times::{Phase, Times, memory_mb};
use contract::{Progress, Scores};

/// Log, display, timing and load monitor of a training.
pub struct Journal {
    /// Log of the run.
    pub notes: Notes,
    /// Progress display.
    pub screen: Screen,
    /// Time spent in each phase.
    pub times: Times,
    /// Monitor of other programs that use the processor.
    pub neighbours: Neighbours,
}

impl Journal {
    /// Records a training step on `samples` samples, with the guard's `readings`, which may be of an older step.
    pub fn step(&mut self, samples: usize, readings: &Readings, learning_rate: f64) -> Result<()> {
        self.screen.step(samples, readings, learning_rate, self.times.waited());
        let seconds = self.times.take_step();
        self.neighbours.look();
        if let Some(loss) = readings.loss {
            log::debug!("Loss at step {}: {loss:.4}", readings.at.step);
            if self.notes.per_step() {
                let learning_rate = readings.learning_rate.unwrap_or(learning_rate);
                let mut scalars = vec![("loss".into(), loss), ("learning_rate".into(), learning_rate)];
                scalars.extend(readings.gradient_norm.map(|norm| ("gradient_norm".to_string(), norm)));
                scalars.push(("images_per_second".into(), self.screen.pace().rate));
                scalars.extend(seconds);
                self.notes.step(readings.at, &scalars)?;
            }
        }
        self.times.lap(Phase::Logging);
        Ok(())
    }

    /// Records the end of an epoch, in which training had this `pace`. All time since the last end of an epoch belongs
    /// to it, e.g. that of a checkpoint.
    pub fn epoch(
        &mut self,
        at: Progress,
        pace: Pace,
        learning_rate: f64,
        gradient_norm: f64,
        scores: [&Scores; 2],
    ) -> Result<()> {
        let mut how = vec![("gradient_norm".into(), gradient_norm), ("images_per_second".into(), pace.rate)];
        how.extend(memory_mb().map(|memory| ("memory_mb".to_string(), memory)));
        how.extend(self.times.take_epoch());
        self.notes.epoch(at, learning_rate, scores, &how)?;
        self.screen.end_epoch(at, pace, scores);
        self.times.lap(Phase::Logging);
        Ok(())
    }
}
