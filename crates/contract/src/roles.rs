//! The parts that a loop is built from.

use crate::{
    Batch, Batches, BoxError, Outputs, Ranks, Scores, StateDict, StateError, Stateful, TorchError, Update, state::check,
};
use std::time::Duration;
use tch::nn::ModuleT;
use tch::{Kind, Tensor};

/// A network. Every tch module is one: it is given the batch's inputs, and gives the prediction.
///
/// Implement it for a network that needs more of the batch than its inputs, or that has auxiliary heads.
pub trait Model {
    /// Returns the outputs for a batch, in training mode (dropout, batch statistics) or in evaluation mode.
    ///
    /// # Panics
    ///
    /// May panic, as tch's modules do: the executors turn a panic into an error. (Where the program is compiled with
    /// `panic = "abort"`, it ends there.)
    fn outputs(&self, batch: &Batch, train: bool) -> Outputs;

    /// Takes note of a captured training step that was replayed, which calls no Rust. A model that keeps on the host
    /// that it was trained implements it. The provided method does nothing.
    fn replayed(&self) {}
}

impl<M: ModuleT + ?Sized> Model for M {
    fn outputs(&self, batch: &Batch, train: bool) -> Outputs {
        self.forward_t(&batch.inputs, train).into()
    }
}

/// A boxed or borrowed tch module as a [`Model`]: `&Plain(model.as_ref())`.
pub struct Plain<'m>(pub &'m dyn ModuleT);

impl Model for Plain<'_> {
    fn outputs(&self, batch: &Batch, train: bool) -> Outputs {
        self.0.outputs(batch, train)
    }
}

/// Source of batches.
pub trait Input {
    /// Returns the batches of epoch `epoch` from batch `skip` on. Order and augmentation are a pure function of the
    /// seed, `epoch` and the sample's position, so skipping costs nothing and a resumed epoch sees the same batches.
    fn epoch(&self, epoch: u64, skip: u64) -> Batches<'_>;

    /// Returns the number of batches in an epoch.
    fn len(&self) -> u64;

    /// Returns the time spent so far bringing batches to the device, as seen by the thread that takes them.
    fn transfer(&self) -> Duration {
        Duration::ZERO
    }

    /// Returns true if an epoch has no batch.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Loss that training minimises. Closures `Fn(&Tensor, &Tensor) -> Result<Tensor, BoxError>` of prediction and targets
/// are losses too.
///
/// Input, loss and metric agree on the form of the [targets](Batch::targets); the loops hand them on unread.
pub trait Loss {
    /// Returns the mean loss of `outputs`, a differentiable scalar. Where the targets are class ids, those that are
    /// [`IGNORE_INDEX`](crate::IGNORE_INDEX) must not count.
    fn loss(&self, outputs: &Outputs, batch: &Batch) -> Result<Tensor, BoxError>;

    /// Returns the weight of the batch's mean, a scalar of 0 or more on the device of the prediction: what the mean
    /// was divided by. Where several batches make one update, their means are weighted by it, so that the update is
    /// that of one large batch. Must not wait for the device.
    ///
    /// The provided method returns the number of samples, which is right for a mean over samples of equal size. A loss
    /// that leaves out pixels returns the number of pixels that count, or the sum of their weights.
    ///
    /// # Errors
    ///
    /// Fails if libtorch does.
    fn weight(&self, outputs: &Outputs, batch: &Batch) -> Result<Tensor, BoxError> {
        let samples = batch.inputs.size().first().copied().unwrap_or(1);
        let device = outputs.prediction.device();
        let weight = Tensor::f_full([0i64; 0], samples as f64, (Kind::Float, device));
        weight.map_err(|error| TorchError::from(error).into())
    }

    /// Returns the loss of the batches of all ranks together, the same on every rank, with the gradient of this rank's
    /// outputs. A loss that is a mean by its [weight](Self::weight) implements it by
    /// [`mean_across`](crate::mean_across); another one takes the [total](crate::total) of its terms.
    ///
    /// # Errors
    ///
    /// Fails if the loss does, or a rank. The provided method refuses, by the name of the loss: the mean of the ranks'
    /// losses would be another loss.
    fn across(&self, _ranks: &dyn Ranks, _outputs: &Outputs, _batch: &Batch) -> Result<Tensor, BoxError> {
        let name = std::any::type_name::<Self>();
        Err(format!(
            "{name} cannot be trained by several processes: implement Loss::across for it (contract::mean_across, if \
             it is a mean)"
        )
        .into())
    }
}

impl<F: Fn(&Tensor, &Tensor) -> Result<Tensor, BoxError>> Loss for F {
    fn loss(&self, outputs: &Outputs, batch: &Batch) -> Result<Tensor, BoxError> {
        self(&outputs.prediction, &batch.targets)
    }
}

/// Optimizer of the weights.
pub trait Optimizer: Stateful {
    /// Runs backward, finite check, clip, update and schedule, in this order. Returns `None` while gradients are being
    /// accumulated. Must not wait for the device, and must leave the weights unchanged if the loss or a gradient is not
    /// finite.
    ///
    /// `weight` returns the [weight](Loss::weight) of the loss: `&|| loss_fn.weight(&outputs, &batch)`. It is called
    /// only where several batches make one update, whose gradient is the weighted mean of theirs.
    fn minimize(
        &mut self,
        loss: &Tensor,
        weight: &dyn Fn() -> Result<Tensor, BoxError>,
    ) -> Result<Option<Update>, BoxError>;

    /// Applies gradients that are still accumulated, so that the last batches of an epoch are not lost.
    fn flush(&mut self) -> Result<Option<Update>, BoxError>;

    /// Returns true if the next call of [`minimize`](Self::minimize) makes an update, false if it only accumulates
    /// gradients. The provided method returns true: an optimizer that accumulates implements it.
    fn updates_next(&self) -> bool {
        true
    }

    /// Returns true if the last call, which failed, left parameters and state unchanged. Returns false also if this is
    /// unknown: then neither is saved.
    fn is_unchanged(&self) -> bool {
        false
    }

    /// Returns the learning rate of the last update; before any update, that of the first.
    fn learning_rate(&self) -> f64;

    /// Takes in the scores of a validation, for a schedule that follows one of them. A session calls it at the end of
    /// each epoch, once it is validated; call it after each validation in a loop of your own. The provided method does
    /// nothing.
    ///
    /// # Errors
    ///
    /// Fails, and changes nothing, if the score that the schedule follows is not among them.
    fn scored(&mut self, _scores: &Scores) -> Result<(), BoxError> {
        Ok(())
    }

    /// Returns the moving average of the weights, if it keeps one.
    fn average(&mut self) -> Option<&mut dyn Average> {
        None
    }

    /// Returns the parts of an update, if what the device does in it can be captured and replayed.
    fn replayable(&mut self) -> Option<&mut dyn Replayable> {
        None
    }
}

/// An update of an [`Optimizer`] in three parts: that of the host [before](Self::prepare), that of the
/// [device](Self::update), which a [`Capture`](crate::Capture) can replay, and that of the host
/// [after](Self::finish) it. Together they do what [`minimize`](Optimizer::minimize) does, to the bit.
pub trait Replayable {
    /// Returns the parameters. They share memory with the network's.
    fn parameters(&self) -> &[Tensor];

    /// Returns a number that is another one if the device's part of the next update is made of other operators than
    /// that of the last one, since frozen parameters thaw for example. It is the same on all ranks.
    fn operators(&mut self) -> u64;

    /// Returns why the next update must be made by [`minimize`](Optimizer::minimize); None if it may be captured.
    fn refusal(&mut self) -> Option<&'static str>;

    /// Writes the numbers of the next update, the learning rate for example, to where the device reads them.
    ///
    /// # Errors
    ///
    /// Fails, and changes nothing else, if libtorch does.
    fn prepare(&mut self) -> Result<(), BoxError>;

    /// Runs backward, finite check, clip and update. Returns the norm of the gradients and whether the update was
    /// rejected, as [`Update`] has them. It reads no value from the device, replaces no tensor of the state, and counts
    /// nothing on the host: a replay calls no Rust.
    ///
    /// # Errors
    ///
    /// Fails if libtorch does. Then call [`abandon`](Self::abandon).
    fn update(&mut self, loss: &Tensor) -> Result<[Tensor; 2], BoxError>;

    /// Counts the update, and does what follows it on the device and is not replayed: a moving average, the thaw of
    /// frozen parameters. Returns the learning rate of the update.
    ///
    /// # Errors
    ///
    /// Fails if libtorch does.
    fn finish(&mut self) -> Result<f64, BoxError>;

    /// Forgets an update that failed, with its gradients. `ran` is false if nothing of it has run on the device, or if
    /// parameters and state were put back. See [`is_unchanged`](Optimizer::is_unchanged).
    fn abandon(&mut self, ran: bool);

    /// Is told that no update will be captured any more. The provided method does nothing.
    fn dismiss(&mut self) {}
}

/// Moving average of the weights, which validations and predictions use in their place.
pub trait Average: Stateful {
    /// Swaps the averages and the weights. A second call swaps them back, to the bit.
    ///
    /// # Errors
    ///
    /// Fails, and changes nothing, if memory is short.
    fn swap(&mut self) -> Result<(), BoxError>;

    /// Restarts at the current weights.
    ///
    /// # Errors
    ///
    /// Fails if memory is short.
    fn restart(&mut self) -> Result<(), BoxError>;
}

/// Metric of predictions, over any number of batches. Input, loss and metric agree on the form of the
/// [targets](Batch::targets).
pub trait Metric: Stateful {
    /// Forgets all batches.
    fn reset(&mut self);

    /// Takes a batch into account, with its mean `loss` (scalar). Must not wait for the device.
    fn update(&mut self, loss: &Tensor, outputs: &Outputs, batch: &Batch) -> Result<(), BoxError>;

    /// Returns the scores over everything since the last reset. Waits for the device.
    fn compute(&self) -> Result<Scores, BoxError>;

    /// Returns the names of the scores that a person looks at first, in order. The provided method names all but those
    /// of a group (`iou/cat`).
    ///
    /// # Errors
    ///
    /// Those of [`compute`](Self::compute).
    fn columns(&self) -> Result<Vec<String>, BoxError> {
        Ok(self.compute()?.into_iter().map(|(name, _)| name).filter(|name| !name.contains('/')).collect())
    }

    /// Takes in what another metric of the same kind saw: the [`state`](Stateful::state) of one on another rank. The
    /// provided method adds its tensors to this one's, which is right for counts and sums.
    ///
    /// # Errors
    ///
    /// Fails, and changes nothing, where names, shapes or kinds differ.
    fn merge(&mut self, other: &StateDict) -> Result<(), StateError> {
        let own = self.state();
        check(&own, other)?;
        let _no_grad = tch::no_grad_guard();
        let sum = |name: &String, own: &Tensor, other: &Tensor| {
            let sum = other.f_to_device(own.device()).and_then(|other| own.f_add(&other));
            sum.map_err(|error| StateError::Torch { name: name.clone(), source: error.into() })
        };
        let sums = own.iter().zip(other.values());
        let sums = sums.map(|((name, own), other)| Ok((name.clone(), sum(name, own, other)?)));
        self.load_state(&sums.collect::<Result<_, StateError>>()?)
    }
}
