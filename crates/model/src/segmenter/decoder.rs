//! Decoders: what a segmenter sees of them.

pub(crate) mod unet;

use crate::segmenter::encoder::Level;
use std::fmt::Debug;
use tch::Tensor;

/// Joins an encoder's feature maps.
pub(crate) trait Decoder: Debug + Send {
    /// Maps the encoder's feature maps, finest first, to one map that the head reads, and to further ones of falling
    /// resolution for deep supervision: none unless that is asked for, and none in evaluation.
    fn decode(&self, features: Vec<Tensor>, train: bool, recompute: bool) -> Vec<Tensor>;

    /// Describes the maps of [`decode`](Self::decode) in training.
    fn outputs(&self) -> Vec<Level>;

    /// Returns the side of the kernels of the heads that read the maps.
    fn kernel(&self) -> i64 {
        1
    }
}
