//! Keeps the ranks of a training in lockstep: a request of one rank is granted on all of them at the same step, and
//! work for the first rank alone fails on all if it fails there.

use crate::error::{Error, Result};
use crate::shared;
use checkpoint::Snapshot;
use contract::{Ranks, StateDict};
use std::path::PathBuf;

/// Requests of a rank, each of which counts for all ranks.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Stop, since a signal came: the run shall go on later.
    pub preempted: bool,
    /// Stop, by key or at the step of the settings.
    pub stop: bool,
    /// Save a checkpoint.
    pub save: bool,
    /// Validate now, by key.
    pub validate: bool,
    /// Save a checkpoint, since the last one is too many minutes old by the first rank's clock.
    pub late: bool,
}

impl Asked {
    /// Returns the flags for [`Ranks::agree`], in the order of the fields. An error has no flag: a rank that fails
    /// leaves, which ends the others' calls.
    fn bits(self) -> u32 {
        let flags = [self.preempted, self.stop, self.save, self.validate, self.late];
        flags.iter().zip(0..).map(|(&set, bit)| u32::from(set) << bit).sum()
    }

    fn of(bits: u32) -> Self {
        let is = |bit: u32| bits >> bit & 1 == 1;
        Self { preempted: is(0), stop: is(1), save: is(2), validate: is(3), late: is(4) }
    }

    fn or(self, other: Self) -> Self {
        Self::of(self.bits() | other.bits())
    }
}

/// Ranks of a training as the session of one of them sees them. A process that trains alone asks nobody.
pub struct Lockstep<'r> {
    /// None for one process.
    ranks: Option<&'r dyn Ranks>,
    /// Requests that all ranks know and that were not granted yet.
    known: Asked,
    /// True if this rank raised `late` in its last call: all ranks hear of it in the next one.
    raised: bool,
}

impl<'r> Lockstep<'r> {
    /// Creates it for a group of ranks; None, or a group of one, for a process that trains alone.
    pub fn new(ranks: Option<&'r dyn Ranks>) -> Self {
        Self { ranks: ranks.filter(|ranks| ranks.count() > 1), known: Asked::default(), raised: false }
    }

    /// Returns true for a process that trains alone.
    pub fn is_alone(&self) -> bool {
        self.ranks.is_none()
    }

    /// Returns true if this rank writes: the first.
    pub fn writes(&self) -> bool {
        self.ranks.is_none_or(|ranks| ranks.rank() == 0)
    }

    /// Returns false if the steps before the loss of a rank may be wrong.
    pub fn is_sound(&self) -> bool {
        self.ranks.is_none_or(Ranks::is_sound)
    }

    /// Returns the number of this rank and that of all ranks.
    pub fn place(&self) -> (usize, usize) {
        self.ranks.map_or((0, 1), |ranks| (ranks.rank(), ranks.count()))
    }

    /// Returns the requests to grant after a step, the same on all ranks: this rank's `own`, those of the others, and
    /// those that are `certain` since each rank finds them by itself. Those of other ranks and `own` come a step later,
    /// so that nobody waits for them. While gradients `wait` for an update only a validation is granted, and all else
    /// after the update. Alone, all is granted at once.
    pub fn step(&mut self, own: Asked, certain: Asked, wait: bool) -> Result<Asked> {
        let Some(ranks) = self.ranks else { return Ok(own.or(certain)) };
        // It stays late until the checkpoint is made, and must not be made twice.
        self.raised = own.late && !self.raised && !self.known.late;
        let heard = ranks.agree(Asked { late: self.raised, ..own }.bits()).map_err(Error::Ranks)?;
        self.known = self.known.or(Asked::of(heard)).or(certain);
        if wait {
            return Ok(Asked { validate: std::mem::take(&mut self.known.validate), ..Asked::default() });
        }
        Ok(std::mem::take(&mut self.known))
    }

    /// Returns the requests to grant at the end of an epoch, those of this moment included. Waits for all ranks.
    pub fn now(&mut self, own: Asked) -> Result<Asked> {
        let Some(ranks) = self.ranks else { return Ok(own) };
        for asked in [own, Asked::default()] {
            let heard = ranks.agree(asked.bits()).map_err(Error::Ranks)?;
            self.known = self.known.or(Asked::of(heard));
        }
        self.raised = false;
        Ok(std::mem::take(&mut self.known))
    }

    /// Returns true if the validation under way is broken off, on all ranks after the same batch, because a signal came
    /// to one of them; `preempted` says whether it came to this one. The request to stop is granted afterwards.
    pub fn breaks_off(&mut self, preempted: bool) -> Result<bool> {
        let Some(ranks) = self.ranks else { return Ok(preempted) };
        let heard = ranks.agree(Asked { preempted, ..Asked::default() }.bits()).map_err(Error::Ranks)?;
        self.known = self.known.or(Asked::of(heard));
        Ok(self.known.preempted)
    }

    /// Waits for all ranks. An error of one is an error of all.
    pub fn all<T>(&self, own: Result<T>) -> Result<T> {
        let Some(ranks) = self.ranks else { return own };
        let others = shared::failure(ranks, own.as_ref().err().map(|error| error.to_string()));
        let own = own?;
        match others? {
            Some((rank, said)) => Err(Error::OfRank { rank, said }),
            None => Ok(own),
        }
    }

    /// Runs `run` on the first rank, and waits for it. Its error is an error of all.
    pub fn first(&self, run: impl FnOnce() -> Result<()>) -> Result<()> {
        self.all(if self.writes() { run() } else { Ok(()) })
    }

    /// Runs `find` on the first rank, and gives the checkpoint that it returns to all.
    pub fn share(
        &self,
        find: impl FnOnce() -> Result<Option<(PathBuf, Snapshot)>>,
    ) -> Result<Option<(PathBuf, Snapshot)>> {
        let found = self.all(if self.writes() { find() } else { Ok(None) })?;
        match self.ranks {
            Some(ranks) => shared::snapshot(ranks, found),
            None => Ok(found),
        }
    }

    /// Returns the states of all ranks in their order.
    pub fn gather(&self, own: StateDict) -> Result<Vec<StateDict>> {
        match self.ranks {
            Some(ranks) => ranks.gather(&own).map_err(Error::Ranks),
            None => Ok(vec![own]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_has_a_bit_of_its_own() {
        for bit in 0..5 {
            assert_eq!(Asked::of(1 << bit).bits(), 1 << bit);
        }
        assert_eq!(Asked::of(0), Asked::default());
    }

    #[test]
    fn alone_all_is_granted_at_once_and_nobody_is_asked() {
        let ranks = contract::Alone::default();
        let mut alone = Lockstep::new(Some(&ranks));
        let (own, certain) = (Asked::of(0b10001), Asked::of(0b100));
        assert_eq!(alone.step(own, certain, true).unwrap(), Asked::of(0b10101));
        assert_eq!(alone.now(own).unwrap(), own);
        assert!(alone.is_alone() && alone.writes() && alone.breaks_off(true).unwrap());
    }

    #[test]
    fn a_request_is_granted_everywhere_a_step_later_and_after_the_update() {
        let granted = testing::together(3, |ranks| {
            let mut lockstep = Lockstep::new(Some(ranks));
            let mut granted = Vec::new();
            for step in 1..9u32 {
                let own = match (ranks.rank(), step) {
                    (2, 1) => Asked { validate: true, ..Asked::default() },
                    // Late until it is saved, after step 6.
                    (0, 2..=6) => Asked { late: true, ..Asked::default() },
                    (1, 4) => Asked { preempted: true, ..Asked::default() },
                    _ => Asked::default(),
                };
                let certain = Asked { save: step == 4, ..Asked::default() };
                granted.push(lockstep.step(own, certain, step < 6).unwrap().bits());
            }
            granted
        });
        assert_eq!(granted, vec![vec![0, 0b1000, 0, 0, 0, 0b10101, 0, 0]; 3]);
    }

    #[test]
    fn an_error_of_one_is_an_error_of_all() {
        let said = testing::together(2, |ranks| {
            let lockstep = Lockstep::new(Some(ranks));
            let failed = || Err(Error::Folder("the disk is full".into()));
            let by_first = lockstep.first(failed).unwrap_err().to_string();
            let own = if ranks.rank() == 1 { failed() } else { Ok(()) };
            [by_first, lockstep.all(own).unwrap_err().to_string()]
        });
        let [own, other] = ["the disk is full", "rank 0: the disk is full"];
        assert_eq!(said, [[own, "rank 1: the disk is full"], [other, own]]);
    }
}
