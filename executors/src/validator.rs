//! Validation: measures a model on an input and changes neither.

use crate::forward::{call, forward};
use crate::{Error, Pass, Place};
use contract::{Batch, Input, Loss, Metric, Model, Outputs, Scores};
use std::ops::ControlFlow;
use tch::Tensor;

/// The validation loop.
pub struct Validator<'a> {
    /// The network; it runs in evaluation mode.
    pub model: &'a dyn Model,
    /// Where batches come from.
    pub input: &'a dyn Input,
    /// Loss to report.
    pub loss_fn: &'a dyn Loss,
    /// Metric of the predictions.
    pub metric: &'a mut dyn Metric,
    /// Finished epochs of the training that this validation belongs to; errors name them.
    pub epochs: Option<u64>,
}

impl<'a> Validator<'a> {
    /// Creates a validator from its four parts.
    pub fn new(model: &'a dyn Model, input: &'a dyn Input, loss_fn: &'a dyn Loss, metric: &'a mut dyn Metric) -> Self {
        Self { model, input, loss_fn, metric, epochs: None }
    }

    /// Returns the validator for the validation after `epochs` epochs of a training.
    #[must_use]
    pub fn after(self, epochs: u64) -> Self {
        Self { epochs: Some(epochs), ..self }
    }

    /// Returns the scores over the whole input. `watch` receives the number of samples after each batch, those of all
    /// ranks, and may stop the validation. The result is then `None`, because scores of a part could be mistaken for
    /// those of the whole.
    pub fn test(&mut self, mut watch: impl FnMut(usize) -> ControlFlow<()>) -> Result<Option<Scores>, Error> {
        let pass = Pass::Validation { epochs: self.epochs };
        self.metric.reset();
        for (index, batch) in (0..).zip(self.input.epoch(0, 0)) {
            let batch = batch.map_err(|source| Error::Input { place: Place::of(pass, index, &[]), source })?;
            let place = Place::of(pass, index, &batch.names);
            let (loss, outputs) = self.step(&batch, &place)?;
            let measured = call(|| self.metric.update(&loss, &outputs, &batch));
            measured.map_err(|source| Error::Metric { place, source })?;
            if watch(batch.samples()).is_break() {
                return Ok(None);
            }
        }
        let scores = call(|| self.metric.compute()).map(Some);
        scores.map_err(|source| Error::Metric { place: Place { pass, ..Place::default() }, source })
    }

    /// Returns the loss (scalar) and the outputs of one batch.
    pub fn test_step(&mut self, batch: &Batch) -> Result<(Tensor, Outputs), Error> {
        self.step(batch, &Place { names: batch.names.clone(), ..Place::default() })
    }

    fn step(&mut self, batch: &Batch, place: &Place) -> Result<(Tensor, Outputs), Error> {
        let _no_grad = tch::no_grad_guard();
        let outputs = forward(self.model, batch, false, place)?;
        let loss = call(|| self.loss_fn.loss(&outputs, batch));
        let loss = loss.map_err(|source| Error::Loss { place: place.clone(), source })?;
        Ok((loss, outputs))
    }
}
