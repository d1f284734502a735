//! What is seen, timed and written down of a training as it goes on.

use crate::guard::Seen;
use crate::neighbours::Neighbours;
use crate::notes::Notes;
use crate::screen::{Pace, Screen};
use crate::times::{Phase, Times, memory_mb};
use anyhow::Result;
use contract::{Progress, Scores};

/// The parts of it.
pub struct Journal {
    /// What is written down.
    pub notes: Notes,
    /// What a person sees.
    pub screen: Screen,
    /// Where the time goes.
    pub times: Times,
    /// Who else wants the processor.
    pub neighbours: Neighbours,
}

impl Journal {
    /// A training step on so many `samples`, of which this was `seen`.
    pub fn step(&mut self, at: Progress, samples: usize, seen: &Seen, learning_rate: f64) -> Result<()> {
        self.screen.step(samples, seen, learning_rate, self.times.waited());
        let seconds = self.times.take_step();
        self.neighbours.look();
        if let Some(loss) = seen.loss {
            log::debug!("Loss at step {}: {loss:.4}", at.step);
            if self.notes.per_step() {
                let mut scalars = vec![("loss".into(), loss), ("learning_rate".into(), learning_rate)];
                scalars.extend(seen.gradient_norm.map(|norm| ("gradient_norm".to_string(), norm)));
                scalars.push(("images_per_second".into(), self.screen.pace().rate));
                scalars.extend(seconds);
                self.notes.step(at, &scalars)?;
            }
        }
        self.times.lap(Phase::Logging);
        Ok(())
    }

    /// The end of an epoch, of which training had this `pace`. The time since the last end belongs to it, with all that
    /// came after that: a checkpoint for example.
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
