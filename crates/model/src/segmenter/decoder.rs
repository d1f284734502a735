//! Decoders: what a segmenter sees of them.

pub(crate) mod deeplab;
pub(crate) mod fpn;
pub(crate) mod pspnet;
pub(crate) mod segformer;
pub(crate) mod unet;
pub(crate) mod unet_plus_plus;
pub(crate) mod upernet;

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

/// Numbers of parts in each direction whose means pyramid pooling takes (Zhao et al., 2017).
pub(crate) const PARTS: [i64; 4] = [1, 2, 3, 6];
