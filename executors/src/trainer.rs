//! The training loop over its six parts.

use crate::forward::forward;
use crate::{Error, Pass, Place};
use contract::{Batch, Batches, Event, Input, Loss, Metric, Optimizer, Progress, StateDict, TorchError, Update};
use tch::{Tensor, nn::ModuleT};

/// The training loop. It depends on six things and knows of nothing else.
pub struct Trainer<'a> {
    /// The network.
    pub model: &'a dyn ModuleT,
    /// Source of batches.
    pub input: &'a dyn Input,
    /// Loss to minimise.
    pub loss_fn: &'a dyn Loss,
    /// Optimizer of the weights.
    pub optimizer: &'a mut dyn Optimizer,
    /// Metric of the predictions.
    pub metric: &'a mut dyn Metric,
    /// Total number of epochs, finished ones included.
    pub epochs: u64,
}

impl<'a> Trainer<'a> {
    /// Creates a trainer from its six parts.
    pub fn new(
        model: &'a dyn ModuleT,
        input: &'a dyn Input,
        loss_fn: &'a dyn Loss,
        optimizer: &'a mut dyn Optimizer,
        metric: &'a mut dyn Metric,
        epochs: u64,
    ) -> Self {
        Self { model, input, loss_fn, optimizer, metric, epochs }
    }

    /// Trains from `from` (`Progress::default()` for the start) to the end, one event for each call of the iterator's
    /// `next`. Ends after the first error.
    pub fn train(&mut self, from: Progress) -> Training<'_, 'a> {
        Training { trainer: self, progress: from, batches: None, failed: false }
    }

    /// Makes one step on one batch: forward, loss, minimise. Returns the loss (scalar) and the predictions (logits),
    /// both still on the device.
    pub fn train_step(&mut self, batch: &Batch) -> Result<(Tensor, Tensor), Error> {
        let place = Place { names: batch.names.clone(), ..Place::default() };
        let (loss, predictions) = self.loss_of(batch, &place)?;
        self.minimize(&loss, &place)?;
        Ok((loss.detach(), predictions.detach()))
    }

    fn loss_of(&self, batch: &Batch, place: &Place) -> Result<(Tensor, Tensor), Error> {
        let predictions = forward(self.model, batch, true, place)?;
        match self.loss_fn.loss(&predictions, &batch.targets) {
            Ok(loss) => Ok((loss, predictions)),
            Err(source) => Err(Error::Loss { place: place.clone(), source }),
        }
    }

    fn minimize(&mut self, loss: &Tensor, place: &Place) -> Result<Option<Update>, Error> {
        self.optimizer.minimize(loss).map_err(|source| Error::Optimizer { place: place.clone(), source })
    }

    /// Makes a step on `batch`. All that can fail comes before the change of the weights, so an error leaves them and
    /// the metric unchanged, unless the optimizer reports that it failed midway.
    fn step(&mut self, batch: &Batch, place: &Place) -> Result<(Tensor, Option<Update>), Error> {
        let failed = |source| Error::Metric { place: place.clone(), source };
        let before = copied(self.metric.state()).map_err(|error| failed(error.into()))?;
        let done = self.loss_of(batch, place).and_then(|(loss, predictions)| {
            let measured = self.metric.update(&loss.detach(), &predictions.detach(), &batch.targets);
            measured.map_err(failed)?;
            let update = self.minimize(&loss, place)?;
            Ok((loss.detach(), update))
        });
        if done.is_err() {
            self.metric.load_state(&before).map_err(|error| failed(error.into()))?;
        }
        done
    }
}

fn copied(state: StateDict) -> Result<StateDict, TorchError> {
    let copy = |tensor: Tensor| -> Result<Tensor, TorchError> {
        let mut copy = tensor.f_empty_like()?;
        copy.f_copy_(&tensor)?;
        Ok(copy)
    };
    state.into_iter().map(|(name, tensor)| Ok((name, copy(tensor)?))).collect()
}

/// Training in progress: an iterator of events. Between two events the parts are accessible through
/// [`trainer`](Self::trainer), for a checkpoint for example.
pub struct Training<'t, 'a> {
    /// The trainer. Its parts are in a consistent state between two events, and also after an error, which changes
    /// neither the metric nor (unless [`is_unchanged`](Optimizer::is_unchanged) is false) the optimizer and its
    /// parameters. The caller restores what the forward pass itself changes: running statistics and random generators.
    pub trainer: &'t mut Trainer<'a>,
    progress: Progress,
    batches: Option<Batches<'a>>,
    failed: bool,
}

impl Training<'_, '_> {
    /// Returns the progress of training.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    fn advance(&mut self) -> Result<Option<Event>, Error> {
        if self.progress.epoch >= self.trainer.epochs {
            return Ok(None);
        }
        let (epoch, index) = (self.progress.epoch, self.progress.batch);
        let batches = match &mut self.batches {
            Some(batches) => batches,
            none => {
                if index == 0 {
                    self.trainer.metric.reset();
                }
                none.insert(self.trainer.input.epoch(epoch, index))
            }
        };
        match batches.next() {
            None => self.end_epoch().map(Some),
            Some(Err(source)) => {
                let place = Place::of(Pass::Training { epoch }, index, &[]);
                Err(Error::Input { place, source })
            }
            Some(Ok(batch)) => self.train_on(batch).map(Some),
        }
    }

    fn train_on(&mut self, batch: Batch) -> Result<Event, Error> {
        let place = Place::of(self.pass(), self.progress.batch, &batch.names);
        let (loss, update) = self.trainer.step(&batch, &place)?;
        self.progress.batch += 1;
        self.progress.step += 1;
        self.progress.samples += batch.names.len() as u64;
        Ok(Event::Step { progress: self.progress, loss, update, names: batch.names })
    }

    fn pass(&self) -> Pass {
        Pass::Training { epoch: self.progress.epoch }
    }

    fn end_epoch(&mut self) -> Result<Event, Error> {
        let place = Place::of(self.pass(), self.progress.batch, &[]);
        let scores = self.trainer.metric.compute();
        let scores = scores.map_err(|source| Error::Metric { place: place.clone(), source })?;
        let update = self.trainer.optimizer.flush().map_err(|source| Error::Optimizer { place, source })?;
        self.batches = None;
        self.progress.epoch += 1;
        self.progress.batch = 0;
        Ok(Event::Epoch { progress: self.progress, scores, update })
    }
}

impl Iterator for Training<'_, '_> {
    type Item = Result<Event, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let event = self.advance().transpose();
        self.failed = matches!(event, Some(Err(_)));
        event
    }
}
