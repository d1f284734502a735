//! Losses and sums over the batches of all ranks.

use crate::{Batch, BoxError, Loss, Outputs, Ranks, TorchError};
use tch::{Kind, Tensor};

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
