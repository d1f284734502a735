//! Batches of samples.

use crate::BoxError;
use tch::Tensor;

/// Class id of pixels that no loss and no metric counts (the convention of Cityscapes and torchvision).
pub const IGNORE_INDEX: i64 = 255;

/// Samples that go through the network together, on the model's device.
#[derive(Debug)]
pub struct Batch {
    /// `[N, C, H, W]` f32, normalised.
    pub inputs: Tensor,
    /// `[N, H, W]` i64 class ids, or [`IGNORE_INDEX`].
    pub targets: Tensor,
    /// Names of the N samples: for errors, for forensics, for the files of predictions.
    pub names: Vec<String>,
}

/// Batches of one epoch, in order.
pub type Batches<'a> = Box<dyn Iterator<Item = Result<Batch, BoxError>> + 'a>;
