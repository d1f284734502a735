//! Ranks that report the loss of another one late.

use contract::{BoxError, Ranks, StateDict};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use tch::Tensor;

/// Ranks whose steps may be wrong once one is lost, as on GPUs, where sums are only enqueued.
pub struct Enqueued<'r> {
    ranks: &'r dyn Ranks,
    lost: AtomicBool,
}

impl<'r> Enqueued<'r> {
    pub fn new(ranks: &'r dyn Ranks) -> Self {
        Self { ranks, lost: AtomicBool::new(false) }
    }

    fn noting<T>(&self, done: Result<T, BoxError>) -> Result<T, BoxError> {
        self.lost.fetch_or(done.is_err(), Relaxed);
        done
    }
}

impl Ranks for Enqueued<'_> {
    fn rank(&self) -> usize {
        self.ranks.rank()
    }

    fn count(&self) -> usize {
        self.ranks.count()
    }

    fn sum(&self, tensors: &[Tensor]) -> Result<(), BoxError> {
        self.noting(self.ranks.sum(tensors))
    }

    fn broadcast(&self, tensors: &[Tensor], from: usize) -> Result<(), BoxError> {
        self.noting(self.ranks.broadcast(tensors, from))
    }

    fn gather(&self, state: &StateDict) -> Result<Vec<StateDict>, BoxError> {
        self.noting(self.ranks.gather(state))
    }

    fn agree(&self, flags: u32) -> Result<u32, BoxError> {
        self.noting(self.ranks.agree(flags))
    }

    fn barrier(&self) -> Result<(), BoxError> {
        self.noting(self.ranks.barrier())
    }

    fn is_sound(&self) -> bool {
        !self.lost.load(Relaxed)
    }
}
