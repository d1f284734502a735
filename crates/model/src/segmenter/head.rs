//! Heads of a segmenter.

use crate::blocks::{Conv, ConvNorm, conv, dropout, norm};
use crate::segmenter::encoder::Level;
use tch::Tensor;
use tch::nn;
use torch_ext::Relu;

/// A convolution from a map to logits.
#[derive(Debug)]
pub(crate) struct Head {
    conv: Conv,
    /// Distance of the map's values in pixels of the input.
    pub stride: f64,
}

impl Head {
    /// Makes the head of a map whose strides are in units of `unit` pixels.
    pub(crate) fn new(path: &nn::Path, level: Level, unit: f64, classes: i64, kernel: i64) -> Self {
        let conv = conv(&(path / 0), level.channels, classes, kernel, true);
        Self { conv, stride: level.stride as f64 * unit }
    }

    /// Returns logits of the map's size.
    pub(crate) fn logits(&self, map_nchw: Tensor, share: f64, train: bool) -> Tensor {
        dropout(map_nchw, share, train).apply(&self.conv)
    }

    /// Enlarges logits to the size of the input by bilinear interpolation that keeps the corners, as
    /// segmentation_models.pytorch does.
    pub(crate) fn enlarged(&self, logits_nchw: Tensor) -> Tensor {
        if self.stride == 1.0 {
            return logits_nchw;
        }
        // By a factor: a size would become a constant of the trace.
        logits_nchw.upsample_bilinear2d_vec(None::<&[i64]>, true, [self.stride; 2].as_slice())
    }
}

/// Auxiliary head of torchvision's segmentation networks (`FCNHead`): a convolution 3×3 to a quarter of the channels
/// with BatchNorm and ReLU, dropout, and a convolution 1×1.
#[derive(Debug)]
pub(crate) struct FcnHead {
    first: ConvNorm,
    last: Conv,
    /// Distance of the map's values in pixels of the input.
    pub stride: f64,
}

impl FcnHead {
    /// Makes the head of a map whose strides are in units of `unit` pixels.
    pub(crate) fn new(path: &nn::Path, level: Level, unit: f64, classes: i64) -> Self {
        let Level { channels, stride } = level;
        let between = (channels / 4).max(1);
        let first = ConvNorm::new(conv(&(path / 0), channels, between, 3, false), norm(&(path / 1), between));
        Self { first, last: conv(&(path / 4), between, classes, 1, true), stride: stride as f64 * unit }
    }

    /// Returns logits of the map's size in training.
    pub(crate) fn logits(&self, map_nchw: &Tensor, share: f64) -> Tensor {
        dropout(self.first.relu(map_nchw, Relu::Plain, true), share, true).apply(&self.last)
    }
}
