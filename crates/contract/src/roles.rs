//! Parts of a training loop. The model is a [`tch::nn::ModuleT`], so any tch or TorchScript model fits unchanged.

use crate::{Batches, BoxError, Scores, Stateful, Update};
use tch::Tensor;

/// Source of batches.
pub trait Input {
    /// Returns the batches of epoch `epoch` from batch `skip` on. Order and augmentation are a pure function of the
    /// seed, `epoch` and the sample's position, so skipping costs nothing and a resumed epoch sees the same batches.
    fn epoch(&self, epoch: u64, skip: u64) -> Batches<'_>;

    /// Returns the number of batches in an epoch.
    fn len(&self) -> u64;

    /// Returns true if an epoch has no batch.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Loss that training minimises. Closures `Fn(&Tensor, &Tensor) -> Result<Tensor, BoxError>` are losses too.
pub trait Loss {
    /// Returns the mean loss, a differentiable scalar, of `outputs` (logits `[N, K, H, W]`) against `targets`
    /// (`[N, H, W]` i64). Pixels whose target is [`IGNORE_INDEX`](crate::IGNORE_INDEX) must not count.
    fn loss(&self, outputs: &Tensor, targets: &Tensor) -> Result<Tensor, BoxError>;
}

impl<F: Fn(&Tensor, &Tensor) -> Result<Tensor, BoxError>> Loss for F {
    fn loss(&self, outputs: &Tensor, targets: &Tensor) -> Result<Tensor, BoxError> {
        self(outputs, targets)
    }
}

/// Optimizer of the weights.
pub trait Optimizer: Stateful {
    /// Runs backward, finite check, clip, update and schedule, in this order. Returns `None` while gradients are being
    /// accumulated. Must not wait for the device, and must leave the weights unchanged if the loss or a gradient is not
    /// finite.
    fn minimize(&mut self, loss: &Tensor) -> Result<Option<Update>, BoxError>;

    /// Applies gradients that are still accumulated, so that the last batches of an epoch are not lost.
    fn flush(&mut self) -> Result<Option<Update>, BoxError>;

    /// Returns true if the last call, which failed, left parameters and state unchanged. Returns false also if this is
    /// unknown: then neither is saved.
    fn is_unchanged(&self) -> bool {
        false
    }

    /// Returns the learning rate of the last update; before any update, that of the first.
    fn learning_rate(&self) -> f64;
}

/// Metric of predictions, over any number of batches.
pub trait Metric: Stateful {
    /// Forgets all batches.
    fn reset(&mut self);

    /// Counts a batch: its mean `loss` (scalar), `outputs` (logits `[N, K, H, W]`) and `targets` (`[N, H, W]` i64).
    /// Must not wait for the device.
    fn update(&mut self, loss: &Tensor, outputs: &Tensor, targets: &Tensor) -> Result<(), BoxError>;

    /// Returns the scores over all batches since the last reset. Waits for the device.
    fn compute(&self) -> Result<Scores, BoxError>;
}
