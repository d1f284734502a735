//! Interpolation of feature maps.

use tch::Tensor;

/// Brings a map from one stride to another by bilinear interpolation; halving takes means of 2×2.
///
/// It is scaled by a factor: a size would become a constant of a trace.
pub(crate) fn scaled(x_nchw: &Tensor, [from, to]: [i64; 2]) -> Tensor {
    if from == to {
        return x_nchw.shallow_clone();
    }
    let factor = from as f64 / to as f64;
    x_nchw.upsample_bilinear2d_vec(None::<&[i64]>, false, [factor, factor].as_slice())
}

/// Brings a map to the height and width of another one by bilinear interpolation.
pub(crate) fn resized_as(x_nchw: &Tensor, other: &Tensor, align_corners: bool) -> Tensor {
    let size = other.size();
    x_nchw.upsample_bilinear2d([size[2], size[3]], align_corners, None, None)
}
