//! BatchNorm by the statistics of all ranks' batches.

use super::BatchNorm;
use crate::ffi;
use contract::{Ranks, TorchError};
use std::cell::RefCell;
use std::ffi::c_void;
use std::marker::PhantomData;
use std::sync::Arc;
use tch::Tensor;

thread_local! {
    static RANKS: RefCell<Option<Arc<dyn Ranks>>> = const { RefCell::new(None) };
}

/// Guard that makes BatchNorm in training take the statistics of the batches of all these ranks together, on this
/// thread while it lives. All ranks then have the same running statistics.
pub struct Synced {
    before: Option<Arc<dyn Ranks>>,
    /// The switch is per thread, so the guard must stay on its own.
    this_thread: PhantomData<*const ()>,
}

impl Synced {
    /// Switches to `ranks`; without any, statistics are those of the own batch, as they are without a guard.
    pub fn new(ranks: Option<Arc<dyn Ranks>>) -> Self {
        Self { before: RANKS.replace(ranks), this_thread: PhantomData }
    }
}

impl Drop for Synced {
    fn drop(&mut self) {
        RANKS.set(self.before.take());
    }
}

/// Returns the ranks whose statistics count on this thread.
pub(crate) fn ranks() -> Option<Arc<dyn Ranks>> {
    RANKS.with_borrow(Clone::clone)
}

/// Applies BatchNorm to `x_nchw`: by the statistics of the batch in training, otherwise by the running ones.
///
/// While [`Synced`] is alive, the batch is that of all ranks. Outputs, gradients and running statistics are those of
/// one process with that batch, up to rounding; the gradients of weight and bias are each rank's own, for whoever sums
/// them. The ranks exchange one tensor in the forward pass and one in the backward pass. A rank may have no sample.
///
/// # Errors
///
/// Fails if libtorch does, or a rank; so does the backward pass.
pub fn batch_norm(x_nchw: &Tensor, norm: BatchNorm, train: bool) -> Result<Tensor, TorchError> {
    let BatchNorm { weight, bias, running_mean, running_var, momentum, epsilon } = norm;
    let Some(ranks) = ranks().filter(|_| train) else {
        let (weight, bias) = (Some(weight), Some(bias));
        let (mean, var) = (Some(running_mean), Some(running_var));
        return Ok(x_nchw.f_batch_norm(weight, bias, mean, var, train, momentum, epsilon, true)?);
    };
    let over = handed_over(ranks);
    let [x, weight, bias, mean, var] = [x_nchw, weight, bias, running_mean, running_var].map(Tensor::as_ptr);
    // SAFETY: the tensors live through the call, and the shim takes the ranks.
    ffi::made(|out| unsafe {
        ffi::oxiseg_sync_norm(x, weight, bias, mean, var, momentum, epsilon, (&raw const over).cast(), out)
    })
}

/// Group of ranks for the shim, which owns `ranks` from there on and calls `drop` once.
#[repr(C)]
pub(super) struct SumOver {
    rank: usize,
    count: usize,
    ranks: *mut c_void,
    run: ffi::Run,
    drop: unsafe extern "C" fn(*mut c_void),
}

/// Returns `ranks` for a function of the shim that takes them, also where it fails.
pub(super) fn handed_over(ranks: Arc<dyn Ranks>) -> SumOver {
    let (rank, count) = (ranks.rank(), ranks.count());
    let sum: Sum = Box::new(move |tensors| {
        ranks.sum(tensors).unwrap_or_else(|error| panic!("{error}"));
        tensors[0].shallow_clone()
    });
    SumOver { rank, count, ranks: Box::into_raw(Box::new(sum)).cast(), run: ffi::run::<Sum>, drop: drop_sum }
}

/// Function that sums tensors over ranks in place, and returns the first.
type Sum = Box<dyn Fn(&[Tensor]) -> Tensor + Send + Sync>;

/// Frees a closure for the shim.
///
/// # Safety
///
/// `sum` must come from [`handed_over`] and not be used any more.
unsafe extern "C" fn drop_sum(sum: *mut c_void) {
    // SAFETY: as promised above.
    drop(unsafe { Box::from_raw(sum.cast::<Sum>()) });
}

#[cfg(test)]
mod tests;
