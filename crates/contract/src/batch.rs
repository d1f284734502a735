//! What an input gives and a model takes.

use crate::BoxError;
use tch::Tensor;

/// The class id of a pixel that counts in no loss and no metric (the convention of Cityscapes and torchvision).
pub const IGNORE_INDEX: i64 = 255;

/// Samples that go through the network together, on the model's device.
#[derive(Debug)]
pub struct Batch {
    /// `[N, C, H, W]` f32, normalised.
    pub inputs: Tensor,
    /// `[N, H, W]` i64 class ids, or [`IGNORE_INDEX`].
    pub targets: Tensor,
    /// The names of the N samples: for errors, for forensics, for the files that a prediction is written to.
    pub names: Vec<String>,
}

/// The batches of one epoch, in order.
pub type Batches<'a> = Box<dyn Iterator<Item = Result<Batch, BoxError>> + 'a>;
