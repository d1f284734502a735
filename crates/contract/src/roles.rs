//! The parts that a loop is built from. The model is [`tch::nn::ModuleT`], so any tch or TorchScript model fits as it is.

use crate::{Batches, BoxError, Scores, Stateful, Update};
use tch::Tensor;

/// Where batches come from.
pub trait Input {
    /// The batches of epoch `epoch` from batch `skip` on. Order and augmentation are a pure function of the seed,
    /// `epoch` and the sample's place, so skipping costs nothing and a resumed epoch sees what it would have seen.
    fn epoch(&self, epoch: u64, skip: u64) -> Batches<'_>;

    /// Batches in an epoch.
    fn len(&self) -> u64;

    /// Whether an epoch has no batch at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What training minimises. Closures `Fn(&Tensor, &Tensor) -> Result<Tensor, BoxError>` are losses too.
pub trait Loss {
    /// The mean loss, a differentiable scalar, of `outputs` (logits `[N, K, H, W]`) against `targets` (`[N, H, W]`
    /// i64). Pixels whose target is [`IGNORE_INDEX`](crate::IGNORE_INDEX) must not count.
    fn loss(&self, outputs: &Tensor, targets: &Tensor) -> Result<Tensor, BoxError>;
}

impl<F: Fn(&Tensor, &Tensor) -> Result<Tensor, BoxError>> Loss for F {
    fn loss(&self, outputs: &Tensor, targets: &Tensor) -> Result<Tensor, BoxError> {
        self(outputs, targets)
    }
}

/// What changes the weights.
pub trait Optimizer: Stateful {
    /// Backward, finite check, clip, update, schedule: one fixed order. `None` while gradients are being accumulated.
    /// Must not wait for the device, and must leave the weights alone where the loss or a gradient is not finite.
    fn minimize(&mut self, loss: &Tensor) -> Result<Option<Update>, BoxError>;

    /// Applies gradients that are still accumulated, so that the last batches of an epoch are not lost.
    fn flush(&mut self) -> Result<Option<Update>, BoxError>;

    /// Returns whether the last call, which failed, left parameters and state as they were before it. Returns
    /// `false` where that is unknown: then nothing of them is saved.
    fn is_unchanged(&self) -> bool {
        false
    }

    /// The learning rate of the last update; before the first update that of the first.
    fn learning_rate(&self) -> f64;
}

/// What measures predictions, over as many batches as it is shown.
pub trait Metric: Stateful {
    /// Forgets everything.
    fn reset(&mut self);

    /// Takes a batch into account: its mean `loss` (scalar), `outputs` (logits `[N, K, H, W]`) and `targets`
    /// (`[N, H, W]` i64). Must not wait for the device.
    fn update(&mut self, loss: &Tensor, outputs: &Tensor, targets: &Tensor) -> Result<(), BoxError>;

    /// The scores over everything since the last reset. Waits for the device.
    fn compute(&self) -> Result<Scores, BoxError>;
}
