//! Training: the six things, and the loop over them.

use crate::forward::forward;
use crate::{Error, Place};
use contract::{Batch, Batches, Event, Input, Loss, Metric, Optimizer, Progress, Update};
use tch::{Tensor, nn::ModuleT};

/// Trains a model. It depends on six things and knows of nothing else.
pub struct Trainer<'a> {
    /// The network.
    pub model: &'a dyn ModuleT,
    /// Where batches come from.
    pub input: &'a dyn Input,
    /// What is minimised.
    pub loss_fn: &'a dyn Loss,
    /// What changes the weights.
    pub optimizer: &'a mut dyn Optimizer,
    /// What measures predictions.
    pub metric: &'a mut dyn Metric,
    /// Epochs in all, those already done included.
    pub epochs: u64,
}

impl<'a> Trainer<'a> {
    /// A trainer of the six things.
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

    /// Trains from `from` (`Progress::default()` for the start) to the end, an event at a time: training goes on only
    /// while the iterator is asked for more. Ends after the first error.
    pub fn train(&mut self, from: Progress) -> Training<'_, 'a> {
        Training { trainer: self, progress: from, batches: None, failed: false }
    }

    /// One step on one batch: forward, loss, minimise. Gives the loss (scalar) and the predictions (logits), both still
    /// on the device.
    pub fn train_step(&mut self, batch: &Batch) -> Result<(Tensor, Tensor), Error> {
        let (loss, predictions, _) = self.step(batch, Place { names: batch.names.clone(), ..Place::default() })?;
        Ok((loss, predictions))
    }

    fn step(&mut self, batch: &Batch, place: Place) -> Result<(Tensor, Tensor, Option<Update>), Error> {
        let predictions = forward(self.model, batch, true, &place)?;
        let loss = match self.loss_fn.loss(&predictions, &batch.targets) {
            Ok(loss) => loss,
            Err(source) => return Err(Error::Loss { place, source }),
        };
        match self.optimizer.minimize(&loss) {
            Ok(update) => Ok((loss.detach(), predictions.detach(), update)),
            Err(source) => Err(Error::Optimizer { place, source }),
        }
    }
}

/// Training under way: an iterator of events. Between two events the parts can be looked at through
/// [`trainer`](Self::trainer), for a checkpoint for example.
pub struct Training<'t, 'a> {
    /// The trainer, whose parts are in a consistent state between two events.
    pub trainer: &'t mut Trainer<'a>,
    progress: Progress,
    batches: Option<Batches<'a>>,
    failed: bool,
}

impl Training<'_, '_> {
    /// Where training stands.
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
            Some(Err(source)) => Err(Error::Input { place: Place::of(epoch, index, &[]), source }),
            Some(Ok(batch)) => self.train_on(batch).map(Some),
        }
    }

    fn train_on(&mut self, batch: Batch) -> Result<Event, Error> {
        let place = Place::of(self.progress.epoch, self.progress.batch, &batch.names);
        let (loss, predictions, update) = self.trainer.step(&batch, place.clone())?;
        let measured = self.trainer.metric.update(&loss, &predictions, &batch.targets);
        measured.map_err(|source| Error::Metric { place, source })?;
        self.progress.batch += 1;
        self.progress.step += 1;
        self.progress.samples += batch.names.len() as u64;
        Ok(Event::Step { progress: self.progress, loss, update, names: batch.names })
    }

    fn end_epoch(&mut self) -> Result<Event, Error> {
        let place = Place::of(self.progress.epoch, self.progress.batch, &[]);
        let update = self.trainer.optimizer.flush();
        let update = update.map_err(|source| Error::Optimizer { place: place.clone(), source })?;
        let scores = self.trainer.metric.compute().map_err(|source| Error::Metric { place, source })?;
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
