//! Processes that train one network together.

use crate::{BoxError, StateDict};
use std::sync::atomic::{AtomicU32, Ordering};
use tch::Tensor;

/// Group of processes that train one network together, as seen by one of them. All of them make the same calls in the
/// same order with tensors of the same shape and kind, and every call but [`rank`](Self::rank) and
/// [`count`](Self::count) waits for the others. The crate `distributed` has the groups of libtorch; [`Alone`] is a
/// group of one.
///
/// # Errors
///
/// A call fails if another rank died, stopped or fell silent for longer than the group's timeout; the error names the
/// rank. The group is of no use then.
pub trait Ranks: Send + Sync {
    /// Returns the number of this process, from 0.
    fn rank(&self) -> usize;

    /// Returns the number of processes.
    fn count(&self) -> usize;

    /// Replaces each tensor by its sum over all ranks, which is the same on all of them to the bit.
    fn sum(&self, tensors: &[Tensor]) -> Result<(), BoxError>;

    /// Replaces each tensor by that of rank `from`.
    fn broadcast(&self, tensors: &[Tensor], from: usize) -> Result<(), BoxError>;

    /// Returns the states of all ranks, in the order of the ranks. They may differ in names and shapes.
    fn gather(&self, state: &StateDict) -> Result<Vec<StateDict>, BoxError>;

    /// Returns the bits that any rank set in the call *before* this one, 0 in the first call. So it need not wait:
    /// the flags travel while the next step is made.
    fn agree(&self, flags: u32) -> Result<u32, BoxError>;

    /// Waits until all ranks are here.
    fn barrier(&self) -> Result<(), BoxError>;

    /// Returns false once steps may be wrong, since a rank was lost while a device had operations before it whose
    /// errors nobody waited for. Such steps are not saved. The provided method returns true: each call tells its
    /// failure.
    fn is_sound(&self) -> bool {
        true
    }
}

/// Group of one process.
#[derive(Debug, Default)]
pub struct Alone {
    flags: AtomicU32,
}

impl Ranks for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn count(&self) -> usize {
        1
    }

    fn sum(&self, _: &[Tensor]) -> Result<(), BoxError> {
        Ok(())
    }

    fn broadcast(&self, _: &[Tensor], _: usize) -> Result<(), BoxError> {
        Ok(())
    }

    fn gather(&self, state: &StateDict) -> Result<Vec<StateDict>, BoxError> {
        Ok(vec![state.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect()])
    }

    fn agree(&self, flags: u32) -> Result<u32, BoxError> {
        Ok(self.flags.swap(flags, Ordering::Relaxed))
    }

    fn barrier(&self) -> Result<(), BoxError> {
        Ok(())
    }
}
