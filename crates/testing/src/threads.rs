//! Ranks that are threads of one process.

#![allow(clippy::expect_used, reason = "a test that panics has failed")]

use contract::{BoxError, Ranks, StateDict};
use std::panic::resume_unwind;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;
use tch::{Device, Tensor};

/// Time after which a rank that waits for the others fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `work` as `count` ranks, a thread each, and returns what they return, in the order of the ranks.
///
/// # Panics
///
/// Panics if a rank does; the others fail then.
pub fn together<T: Send>(count: usize, work: impl Fn(&dyn Ranks) -> T + Sync) -> Vec<T> {
    together_owned(count, |ranks| work(ranks.as_ref()))
}

/// Does the same as [`together`], for `work` that hands the ranks on to what outlives it.
pub fn together_owned<T: Send>(count: usize, work: impl Fn(Arc<dyn Ranks>) -> T + Sync) -> Vec<T> {
    let hub = Arc::<Hub>::default();
    std::thread::scope(|scope| {
        let (hub, work) = (&hub, &work);
        let threads: Vec<_> = (0..count)
            .map(|rank| {
                scope.spawn(move || {
                    let _left = Leaving(hub);
                    work(Arc::new(Thread { rank, count, hub: Arc::clone(hub), flags: Mutex::default() }))
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|said| resume_unwind(said))).collect()
    })
}

/// Meeting point of the threads.
#[derive(Default)]
struct Hub {
    round: Mutex<Round>,
    changed: Condvar,
}

#[derive(Default)]
struct Round {
    number: u64,
    given: Vec<Option<StateDict>>,
    /// States given in the round before.
    taken: Vec<StateDict>,
    /// True once a rank has left: nobody may wait for it.
    broken: bool,
}

/// Tells the others that a rank has returned or panicked.
struct Leaving<'h>(&'h Hub);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.round.lock().unwrap_or_else(PoisonError::into_inner).broken = true;
        self.0.changed.notify_all();
    }
}

struct Thread {
    rank: usize,
    count: usize,
    hub: Arc<Hub>,
    flags: Mutex<u32>,
}

fn copied(tensor: &Tensor) -> Tensor {
    tensor.detach().copy()
}

impl Thread {
    /// Gives `own` to all ranks and returns what all gave.
    fn exchange(&self, own: StateDict) -> Result<Vec<StateDict>, BoxError> {
        let mut round = self.hub.round.lock().unwrap_or_else(PoisonError::into_inner);
        let number = round.number;
        round.given.resize_with(self.count, || None);
        round.given[self.rank] = Some(own);
        if round.given.iter().all(Option::is_some) {
            let given = std::mem::take(&mut round.given);
            round.taken = given.into_iter().flatten().collect();
            round.number += 1;
            self.hub.changed.notify_all();
        }
        while round.number == number && !round.broken {
            let (next, late) = self.hub.changed.wait_timeout(round, PATIENCE).unwrap_or_else(PoisonError::into_inner);
            round = next;
            if late.timed_out() && round.number == number {
                return Err("another rank did not come".into());
            }
        }
        if round.number == number {
            return Err("another rank has left".into());
        }
        let copy = |state: &StateDict| state.iter().map(|(name, tensor)| (name.clone(), copied(tensor))).collect();
        Ok(round.taken.iter().map(copy).collect())
    }

    fn exchange_list(&self, tensors: &[Tensor]) -> Result<Vec<StateDict>, BoxError> {
        let named = tensors.iter().enumerate().map(|(place, tensor)| (format!("{place:06}"), copied(tensor)));
        self.exchange(named.collect())
    }
}

impl Ranks for Thread {
    fn rank(&self) -> usize {
        self.rank
    }

    fn count(&self) -> usize {
        self.count
    }

    fn sum(&self, tensors: &[Tensor]) -> Result<(), BoxError> {
        let all = self.exchange_list(tensors)?;
        let _no_grad = tch::no_grad_guard();
        for (place, tensor) in tensors.iter().enumerate() {
            let mut sum = tensor.zeros_like();
            for state in &all {
                sum += state.values().nth(place).ok_or("another rank gave fewer tensors")?;
            }
            tensor.shallow_clone().copy_(&sum);
        }
        Ok(())
    }

    fn broadcast(&self, tensors: &[Tensor], from: usize) -> Result<(), BoxError> {
        let all = self.exchange_list(tensors)?;
        let _no_grad = tch::no_grad_guard();
        for (tensor, value) in tensors.iter().zip(all[from].values()) {
            tensor.shallow_clone().copy_(value);
        }
        Ok(())
    }

    fn gather(&self, state: &StateDict) -> Result<Vec<StateDict>, BoxError> {
        self.exchange(state.iter().map(|(name, tensor)| (name.clone(), copied(tensor))).collect())
    }

    fn agree(&self, flags: u32) -> Result<u32, BoxError> {
        let before = std::mem::replace(&mut *self.flags.lock().unwrap_or_else(PoisonError::into_inner), flags);
        let before = Tensor::from(i64::from(before)).to_device(Device::Cpu);
        let all = self.exchange_list(&[before])?;
        let of = |state: &StateDict| state.values().map(|flags| flags.int64_value(&[]) as u32).sum::<u32>();
        Ok(all.iter().map(of).fold(0, |union, flags| union | flags))
    }

    fn barrier(&self) -> Result<(), BoxError> {
        self.exchange(StateDict::new()).map(|_| ())
    }
}
