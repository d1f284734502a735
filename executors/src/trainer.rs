//! The training loop over its six parts.

use crate::captured::Captured;
use crate::forward::call;
use crate::operators::{detached, loss_of};
use crate::parts::Parts;
use crate::protect::Protection;
use crate::{Error, Pass, Place};
use contract::{
    Batch, Batches, Capture, Event, Input, Loss, Metric, Model, Optimizer, Outputs, Progress, Ranks, Update,
};
use std::time::{Duration, Instant};
use tch::Tensor;
use tch::nn::VarStore;

/// The training loop. It depends on six things and knows of nothing else.
pub struct Trainer<'a> {
    /// The network.
    pub model: &'a dyn Model,
    /// Where batches come from.
    pub input: &'a dyn Input,
    /// Loss to minimise.
    pub loss_fn: &'a dyn Loss,
    /// Optimizer of the weights.
    pub optimizer: &'a mut dyn Optimizer,
    /// Metric of the predictions.
    pub metric: &'a mut dyn Metric,
    /// Total number of epochs, finished ones included.
    pub epochs: u64,
    pub(crate) protection: Protection,
    captured: Option<Captured<'a>>,
}

impl<'a> Trainer<'a> {
    /// Creates a trainer from its six parts.
    pub fn new(
        model: &'a dyn Model,
        input: &'a dyn Input,
        loss_fn: &'a dyn Loss,
        optimizer: &'a mut dyn Optimizer,
        metric: &'a mut dyn Metric,
        epochs: u64,
    ) -> Self {
        Self { model, input, loss_fn, optimizer, metric, epochs, protection: Protection::default(), captured: None }
    }

    /// Makes the variables in `store` part of the training's [state](Self::states), under a name (`model` for the first
    /// one), and protects BatchNorm's running statistics among them: a step that makes any of them NaN or infinite, or
    /// fails, leaves all as they were. After a failed step libtorch's random generators are restored too. (The
    /// optimizer itself does not change weights if the loss or a gradient is not finite, and no metric of training
    /// counts such a loss.)
    #[must_use]
    pub fn protect(mut self, name: &str, store: &VarStore) -> Self {
        self.protection.add(name, store);
        self
    }

    /// Has steps captured by `capture` and replayed: forward pass, loss, metric and update, with the bits of steps that
    /// are not. Batches of the first size that comes twice are. Others, and updates that the optimizer
    /// [does not allow](contract::Replayable::operators), are trained on operator by operator, and so are all once a
    /// capture fails; [`remarks`](Self::remarks) says so.
    ///
    /// A replay calls no Rust, so model, loss and metric must do all that changes from step to step on the device, in
    /// tensors that keep their place (see [`Capture`]), as those of this project do. `torch_ext::FakeCapture` tests it.
    ///
    /// The first three steps of a capture are checked: replayed, undone, and made operator by operator. Training goes
    /// on with the latter, and if they differ no step is replayed any more; [`warning`](Self::warning) says so. They
    /// can be undone if all that a step changes is in [protected](Self::protect) stores, optimizer and metric.
    #[must_use]
    pub fn captured(mut self, capture: &'a mut dyn Capture) -> Self {
        self.captured = Some(Captured::new(capture, None));
        self
    }

    /// Does the same as [`captured`](Self::captured) on one of several `ranks`, which all capture. They agree, which
    /// takes some small sums, until the replays of a capture are proven: a step is captured if all of them can, and one
    /// that is wrong on any rank is the last that is replayed. From there on each rank decides by itself which step it
    /// replays, so the operations across ranks of a replayed step must be those of one that is not, in the same order.
    #[must_use]
    pub fn captured_among(mut self, capture: &'a mut dyn Capture, ranks: &'a dyn Ranks) -> Self {
        self.captured = Some(Captured::new(capture, Some(ranks)));
        self
    }

    /// Takes what is to be said of steps that are not [captured](Self::captured): once for each reason.
    pub fn remarks(&mut self) -> Vec<String> {
        self.captured.as_mut().map(Captured::remarks).unwrap_or_default()
    }

    /// Takes the warning that a replay was not the step that it replaces, so that none is replayed any more.
    pub fn warning(&mut self) -> Option<String> {
        self.captured.as_mut().and_then(Captured::warning)
    }

    /// Trains from `from` (`Progress::default()` for the start) to the end, one event for each call of the iterator's
    /// `next`. Ends after the first error.
    pub fn train(&mut self, from: Progress) -> Training<'_, 'a> {
        let transferred = self.input.transfer();
        Training { trainer: self, progress: from, batches: None, waited: Duration::ZERO, transferred, failed: false }
    }

    /// One step on one batch: forward, loss, minimise. Returns the loss (scalar) and the outputs, both detached and
    /// still on the device. The metric is not updated.
    pub fn train_step(&mut self, batch: &Batch) -> Result<(Tensor, Outputs), Error> {
        let place = Place { names: batch.names.clone(), ..Place::default() };
        let (loss, outputs) = loss_of(self.model, self.loss_fn, batch, &place)?;
        let (mut parts, _) = self.split();
        parts.minimize(&loss, &outputs, batch, &place)?;
        Ok((loss.detach(), detached(batch, &outputs, &place)?))
    }

    fn step(&mut self, batch: &Batch, place: &Place) -> Result<(Tensor, Option<Update>), Error> {
        match self.split() {
            (parts, Some(captured)) => captured.step(parts, batch, place),
            (mut parts, None) => parts.step(batch, place),
        }
    }

    fn split(&mut self) -> (Parts<'_>, Option<&mut Captured<'a>>) {
        let Self { model, loss_fn, optimizer, metric, protection, captured, .. } = self;
        let parts =
            Parts { model: *model, loss_fn: *loss_fn, optimizer: &mut **optimizer, metric: &mut **metric, protection };
        (parts, captured.as_mut())
    }
}

/// Training in progress: an iterator of events. Between two events the parts are accessible through
/// [`trainer`](Self::trainer), for a checkpoint for example.
pub struct Training<'t, 'a> {
    /// The trainer, whose parts are in a consistent state between two events. After an error too, which changed neither
    /// the metric nor (unless [`is_unchanged`](Optimizer::is_unchanged) is false) the optimizer and its parameters.
    /// What the forward pass itself changes (running statistics, random generators) is put back where it is
    /// [protected](Trainer::protect).
    pub trainer: &'t mut Trainer<'a>,
    progress: Progress,
    batches: Option<Batches<'a>>,
    /// Time that batches were waited for since it was last asked for, and all transfers until then.
    pub(crate) waited: Duration,
    pub(crate) transferred: Duration,
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
        let since = Instant::now();
        let batch = batches.next();
        self.waited += since.elapsed();
        match batch {
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
        self.progress.samples += batch.samples() as u64;
        Ok(Event::step(self.progress, loss, update, batch.names))
    }

    fn pass(&self) -> Pass {
        Pass::Training { epoch: self.progress.epoch }
    }

    fn end_epoch(&mut self) -> Result<Event, Error> {
        let place = Place::of(self.pass(), self.progress.batch, &[]);
        let scores = call(|| self.trainer.metric.compute());
        let scores = scores.map_err(|source| Error::Metric { place: place.clone(), source })?;
        let update = call(|| self.trainer.optimizer.flush()).map_err(|source| Error::Optimizer { place, source })?;
        self.batches = None;
        self.progress.epoch += 1;
        self.progress.batch = 0;
        Ok(Event::epoch(self.progress, scores, update))
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
