//! Processes that train one network together.

use crate::{Batch, BoxError, Loss, Outputs, StateDict, TorchError};
use std::sync::atomic::{AtomicU32, Ordering};
use tch::{Kind, Tensor};

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

/// Part of a batch that one rank works on: the batch of all ranks holds `of` samples, and this one has those from
/// `first` on. A sample that a rank must leave out keeps its place: `of` counts it on every rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Number of samples before this rank's.
    pub first: usize,
    /// Number of samples of all ranks.
    pub of: usize,
}

/// Returns the mean loss over the batches of all ranks, where `loss` returns a mean that was divided by its
/// [weight](Loss::weight): the value is that of one batch with the samples of all ranks, and so is the gradient of this
/// rank's outputs. The [`across`](Loss::across) of such a loss.
///
/// # Errors
///
/// Fails if the loss does, or a rank.
pub fn mean_across(
    loss: &(impl Loss + ?Sized),
    ranks: &dyn Ranks,
    outputs: &Outputs,
    batch: &Batch,
) -> Result<Tensor, BoxError> {
    let own = loss.weight(outputs, batch)?;
    let torch = TorchError::from;
    let share = {
        let _no_grad = tch::no_grad_guard();
        let total = own.f_to_kind(Kind::Float).map_err(torch)?.copy();
        ranks.sum(&[total.shallow_clone()])?;
        // No rank has anything that counts: the loss is 0, not NaN.
        let least = total.f_full_like(f64::from(f32::MIN_POSITIVE)).map_err(torch)?;
        own.f_div(&total.f_maximum(&least).map_err(torch)?).map_err(torch)?
    };
    total(ranks, &loss.loss(outputs, batch)?.f_mul(&share).map_err(torch)?)
}

/// Returns the sum of `term` over all ranks. Its gradient is that of the sum itself, on each rank: right where every
/// rank goes on to compute the same loss from it, which then counts once.
///
/// # Errors
///
/// Fails if libtorch does, or a rank.
pub fn total(ranks: &dyn Ranks, term: &Tensor) -> Result<Tensor, BoxError> {
    let (own, sum) = {
        let _no_grad = tch::no_grad_guard();
        let own = term.f_detach().map_err(TorchError::from)?;
        let sum = own.copy();
        ranks.sum(&[sum.shallow_clone()])?;
        (own, sum)
    };
    // The value is the sum to the bit: term - own is 0, or NaN where the sum is NaN or infinite too.
    let zero = term.f_sub(&own).map_err(TorchError::from)?;
    Ok(zero.f_add(&sum).map_err(TorchError::from)?)
}
