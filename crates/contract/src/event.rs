//! Events of a training run.

use tch::Tensor;

/// Progress of training. It names the next batch, so that training resumes from it without a gap or a repeat.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Finished epochs; also the index of the epoch under way.
    pub epoch: u64,
    /// Finished batches of the epoch under way.
    pub batch: u64,
    /// Finished batches of all epochs.
    pub step: u64,
    /// Samples seen in all epochs, repeats counted.
    pub samples: u64,
}

/// Named results in reading order, e.g. `("mean_iou", 0.62)`.
pub type Scores = Vec<(String, f64)>;

/// Number of further steps for which the tensors of an [`Event`] keep their values. A step that is captured once and
/// replayed writes its numbers in place, into a ring on the device, so later steps overwrite them. Read a tensor within
/// that many steps, or copy it.
pub const KEPT_STEPS: u64 = 20;

/// Statistics of one update of the weights. The tensors stay on the device until they are read, and keep their values
/// for [`KEPT_STEPS`] further steps.
#[derive(Debug)]
#[non_exhaustive]
pub struct Update {
    /// Learning rate of the update.
    pub learning_rate: f64,
    /// Scalar f32: the global norm of the gradients, before clipping.
    pub gradient_norm: Tensor,
    /// Scalar f32: 1 if the loss or the gradient was not finite and the weights were therefore left unchanged, else 0.
    /// (If the loss is scaled for f16 and the scale was too large, the weights are left unchanged too, but this is 0:
    /// the scale adapts by itself.)
    pub rejected: Tensor,
}

impl Update {
    /// Makes an update of these values.
    pub fn new(learning_rate: f64, gradient_norm: Tensor, rejected: Tensor) -> Self {
        Self { learning_rate, gradient_norm, rejected }
    }
}

/// One thing that happened in training. Its tensors keep their values for [`KEPT_STEPS`] further steps.
#[derive(Debug)]
pub enum Event {
    /// A batch was trained on.
    #[non_exhaustive]
    Step {
        /// Progress after it.
        progress: Progress,
        /// Scalar f32 on the device, detached; reading it waits for the device.
        loss: Tensor,
        /// Update of the weights; `None` while gradients are being accumulated.
        update: Option<Update>,
        /// Names of the batch's samples.
        names: Vec<String>,
    },
    /// An epoch ended.
    #[non_exhaustive]
    Epoch {
        /// Progress after it: `progress.epoch` epochs are finished.
        progress: Progress,
        /// Scores over the whole epoch.
        scores: Scores,
        /// Update from gradients that accumulation left over.
        update: Option<Update>,
    },
}

impl Event {
    /// Makes a [`Step`](Self::Step).
    pub fn step(progress: Progress, loss: Tensor, update: Option<Update>, names: Vec<String>) -> Self {
        Self::Step { progress, loss, update, names }
    }

    /// Makes an [`Epoch`](Self::Epoch).
    pub fn epoch(progress: Progress, scores: Scores, update: Option<Update>) -> Self {
        Self::Epoch { progress, scores, update }
    }
}
