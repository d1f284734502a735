//! Ranks that run in turns.

use contract::{BoxError, Ranks, StateDict};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use tch::{Device, Tensor};

/// Makes the tests that draw random numbers run one after another: a process has one generator.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The one place where a rank may compute.
#[derive(Default)]
pub struct Place {
    taken: Mutex<bool>,
    left: Condvar,
}

impl Place {
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self) {
        let mut taken = self.left.wait_while(self.lock(), |taken| *taken).unwrap_or_else(PoisonError::into_inner);
        *taken = true;
    }

    fn leave(&self) {
        *self.lock() = false;
        self.left.notify_one();
    }
}

/// Rank that computes while no other does, until it waits for the others. Threads share libtorch's random generator,
/// which processes do not: each keeps the state of its own meanwhile.
pub struct Turn {
    ranks: Arc<dyn Ranks>,
    place: Arc<Place>,
}

impl Turn {
    /// Runs `work` as one of the `ranks`, with a random generator that was seeded anew.
    pub fn run<T>(ranks: Arc<dyn Ranks>, place: &Arc<Place>, work: impl FnOnce(Arc<dyn Ranks>) -> T) -> T {
        struct Leaving<'p>(&'p Place);
        impl Drop for Leaving<'_> {
            fn drop(&mut self) {
                self.0.leave();
            }
        }
        place.enter();
        let _leaving = Leaving(place);
        tch::manual_seed(7);
        work(Arc::new(Self { ranks, place: Arc::clone(place) }))
    }

    fn waiting<T>(&self, wait: impl FnOnce(&dyn Ranks) -> T) -> T {
        let generator = torch_ext::generator_state(Device::Cpu).unwrap();
        self.place.leave();
        let found = wait(self.ranks.as_ref());
        self.place.enter();
        torch_ext::set_generator_state(Device::Cpu, &generator).unwrap();
        found
    }
}

impl Ranks for Turn {
    fn rank(&self) -> usize {
        self.ranks.rank()
    }

    fn count(&self) -> usize {
        self.ranks.count()
    }

    fn sum(&self, tensors: &[Tensor]) -> Result<(), BoxError> {
        self.waiting(|ranks| ranks.sum(tensors))
    }

    fn broadcast(&self, tensors: &[Tensor], from: usize) -> Result<(), BoxError> {
        self.waiting(|ranks| ranks.broadcast(tensors, from))
    }

    fn gather(&self, state: &StateDict) -> Result<Vec<StateDict>, BoxError> {
        self.waiting(|ranks| ranks.gather(state))
    }

    fn agree(&self, flags: u32) -> Result<u32, BoxError> {
        self.waiting(|ranks| ranks.agree(flags))
    }

    fn barrier(&self) -> Result<(), BoxError> {
        self.waiting(|ranks| ranks.barrier())
    }
}
