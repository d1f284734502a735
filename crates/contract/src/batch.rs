//! Batches and what a network makes of them.

use crate::{BoxError, StateDict, TorchError};
use tch::Tensor;

/// Class id of a pixel that counts in no loss and no metric (the convention of Cityscapes and torchvision).
pub const IGNORE_INDEX: i64 = 255;

/// Part of a batch that one rank works on: the batch of all ranks holds `of` samples, and this one has those from
/// `first` on. A sample that a rank must leave out keeps its place: `of` counts it on every rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Number of samples before this rank's.
    pub first: usize,
    /// Number of samples of all ranks.
    pub of: usize,
}

/// Samples that go through the network together, on the model's device.
#[derive(Debug)]
#[non_exhaustive]
pub struct Batch {
    /// `[N, C, H, W]` f32, normalised.
    pub inputs: Tensor,
    /// Targets in the form that input, loss and metric agree on: class ids `[N, H, W]` i64 (or [`IGNORE_INDEX`]),
    /// probabilities `[N, K, H, W]` f32, depths `[N, H, W]` f32, …. The loops hand them on unread.
    pub targets: Tensor,
    /// Names of the N samples, for errors, forensics and the files that a prediction is written to.
    pub names: Vec<String>,
    /// Further tensors by name: sample weights, second inputs. Empty unless the input adds some.
    pub extra: StateDict,
    /// Place among the samples of all ranks, if several processes share a batch; None if this is the whole batch.
    pub share: Option<Share>,
}

impl Batch {
    /// Makes a batch without extra tensors.
    pub fn new(inputs: Tensor, targets: Tensor, names: Vec<String>) -> Self {
        Self { inputs, targets, names, extra: StateDict::new(), share: None }
    }

    /// Returns the number of samples that this batch counts as: those of all ranks.
    pub fn samples(&self) -> usize {
        self.share.map_or(self.names.len(), |share| share.of)
    }
}

/// Batches of one epoch, in order.
pub type Batches<'a> = Box<dyn Iterator<Item = Result<Batch, BoxError>> + 'a>;

/// Outputs of a network for one batch.
#[derive(Debug)]
#[non_exhaustive]
pub struct Outputs {
    /// The prediction, e.g. logits `[N, K, H, W]`.
    pub prediction: Tensor,
    /// Outputs of auxiliary heads, for losses alone. Empty for most networks.
    pub auxiliary: Vec<Tensor>,
}

impl Outputs {
    /// Makes outputs with auxiliary ones beside the prediction.
    pub fn new(prediction: Tensor, auxiliary: Vec<Tensor>) -> Self {
        Self { prediction, auxiliary }
    }

    /// Returns the same values without their graph.
    ///
    /// # Errors
    ///
    /// Fails if libtorch does.
    pub fn detach(&self) -> Result<Self, TorchError> {
        let auxiliary = self.auxiliary.iter().map(Tensor::f_detach).collect::<Result<_, _>>()?;
        Ok(Self { prediction: self.prediction.f_detach()?, auxiliary })
    }
}

impl From<Tensor> for Outputs {
    fn from(prediction: Tensor) -> Self {
        Self { prediction, auxiliary: Vec::new() }
    }
}
