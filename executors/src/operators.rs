//! The operators of a training step, which are the same whether they are enqueued one by one or replayed.

use crate::forward::{call, forward};
use crate::{Error, Place};
use contract::{Batch, BoxError, Loss, Metric, Model, Outputs, StateDict, TorchError};
use tch::Tensor;

/// Returns the loss of a batch, and the outputs, both with their graph.
pub(crate) fn loss_of(
    model: &dyn Model,
    loss_fn: &dyn Loss,
    batch: &Batch,
    place: &Place,
) -> Result<(Tensor, Outputs), Error> {
    let outputs = forward(model, batch, true, place)?;
    match call(|| loss_fn.loss(&outputs, batch)) {
        Ok(loss) => Ok((loss, outputs)),
        Err(source) => Err(Error::Loss { place: place.clone(), source }),
    }
}

/// Shows the batch to the metric, which `before` was the state of. A loss that is not finite leaves it so: nothing was
/// learnt from that batch, and counted it would make the whole epoch's mean NaN. Decided on the device, so that nothing
/// waits for it.
pub(crate) fn measure(
    metric: &mut dyn Metric,
    batch: &Batch,
    loss: &Tensor,
    outputs: &Outputs,
    before: &StateDict,
) -> Result<(), BoxError> {
    call(|| metric.update(loss, outputs, batch))?;
    let _no_grad = tch::no_grad_guard();
    let finite = loss.f_isfinite().map_err(TorchError::from)?;
    let chosen = metric.state().into_iter().zip(before.values()).map(|((name, now), before)| {
        let chosen = now.f_where_self(&finite.f_to_device(now.device())?, before)?;
        Ok((name, chosen))
    });
    Ok(metric.load_state(&chosen.collect::<Result<_, TorchError>>()?)?)
}

pub(crate) fn detached(batch: &Batch, outputs: &Outputs, place: &Place) -> Result<Outputs, Error> {
    outputs.detach().map_err(|error| model_failed(batch, place, error))
}

pub(crate) fn model_failed(batch: &Batch, place: &Place, error: TorchError) -> Error {
    Error::Model { place: place.clone(), inputs: batch.inputs.size(), source: error.into() }
}

pub(crate) fn copied(state: StateDict) -> Result<StateDict, TorchError> {
    let copy = |tensor: Tensor| -> Result<Tensor, TorchError> {
        let mut copy = tensor.f_empty_like()?;
        copy.f_copy_(&tensor)?;
        Ok(copy)
    };
    state.into_iter().map(|(name, tensor)| Ok((name, copy(tensor)?))).collect()
}
