//! What a training run reports while it goes on.

use tch::Tensor;

/// How far training has come. It names the next batch, so training `from` it continues without a gap or a repeat.
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

/// Named results in the order in which a person wants to read them, e.g. `("mean_iou", 0.62)`.
pub type Scores = Vec<(String, f64)>;

/// What one update of the weights was like. The tensors stay on the device until somebody reads them.
#[derive(Debug)]
#[non_exhaustive]
pub struct Update {
    /// The learning rate that was used.
    pub learning_rate: f64,
    /// Scalar f32: the norm of all gradients together, before clipping.
    pub gradient_norm: Tensor,
    /// Scalar f32: 1 if the loss or the gradient was not finite, so that the weights were left as they are; else 0. (Where the
    /// loss is scaled for f16 and the scale was too large, the weights are left too, and this is 0: it heals by itself.)
    pub rejected: Tensor,
}

impl Update {
    /// Makes an update of these values.
    pub fn new(learning_rate: f64, gradient_norm: Tensor, rejected: Tensor) -> Self {
        Self { learning_rate, gradient_norm, rejected }
    }
}

/// One thing that happened in training.
#[derive(Debug)]
pub enum Event {
    /// A batch was trained on.
    #[non_exhaustive]
    Step {
        /// Where training stands after it.
        progress: Progress,
        /// Scalar f32 on the device, detached; reading it waits for the device.
        loss: Tensor,
        /// What happened to the weights; `None` where gradients are still being accumulated.
        update: Option<Update>,
        /// The samples of the batch.
        names: Vec<String>,
    },
    /// An epoch ended.
    #[non_exhaustive]
    Epoch {
        /// Where training stands after it: `progress.epoch` epochs are finished.
        progress: Progress,
        /// The metric over the whole epoch.
        scores: Scores,
        /// The update from gradients that accumulation had left over.
        update: Option<Update>,
    },
}
