//! The parts of a trainer that a step uses, and the step that they make operator by operator.

use crate::forward::call;
use crate::operators::{copied, detached, loss_of, measure, model_failed};
use crate::protect::Protection;
use crate::{Error, Place};
use contract::{Batch, BoxError, Loss, Metric, Model, Optimizer, Outputs, TorchError, Update};
use tch::Tensor;

/// The parts of a trainer that a step uses.
pub(crate) struct Parts<'p> {
    pub model: &'p dyn Model,
    pub loss_fn: &'p dyn Loss,
    pub optimizer: &'p mut dyn Optimizer,
    pub metric: &'p mut dyn Metric,
    pub protection: &'p Protection,
}

impl Parts<'_> {
    /// Makes a step on `batch`. All that can fail comes before the change of the weights, so an error leaves them and
    /// the metric unchanged, unless the optimizer reports that it failed midway.
    pub fn step(&mut self, batch: &Batch, place: &Place) -> Result<(Tensor, Option<Update>), Error> {
        let failed = |source| Error::Metric { place: place.clone(), source };
        let of_model = |error: TorchError| model_failed(batch, place, error);
        let before = copied(self.metric.state()).map_err(|error| failed(error.into()))?;
        let kept = self.protection.keep().map_err(of_model)?;
        let done = loss_of(self.model, self.loss_fn, batch, place).and_then(|(loss, outputs)| {
            self.protection.put_back_unless_finite(&kept).map_err(of_model)?;
            let seen = detached(batch, &outputs, place)?;
            measure(self.metric, batch, &loss.detach(), &seen, &before).map_err(failed)?;
            let update = self.minimize(&loss, &outputs, batch, place)?;
            Ok((loss.detach(), update))
        });
        if done.is_err() {
            self.metric.load_state(&before).map_err(|error| failed(error.into()))?;
            self.protection.put_back(&kept).map_err(of_model)?;
        }
        done
    }

    pub fn minimize(
        &mut self,
        loss: &Tensor,
        outputs: &Outputs,
        batch: &Batch,
        place: &Place,
    ) -> Result<Option<Update>, Error> {
        let weight = || {
            let weight = call(|| self.loss_fn.weight(outputs, batch));
            weight.map_err(|error| BoxError::from(format!("the weight of the loss: {error}")))
        };
        call(|| self.optimizer.minimize(loss, &weight))
            .map_err(|source| Error::Optimizer { place: place.clone(), source })
    }
}
