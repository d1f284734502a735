//! Resizing to the size of another tensor.

use crate::ffi;
use contract::TorchError;
use tch::Tensor;

/// Interpolation between pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interpolation {
    /// The nearest pixel, as libtorch's `nearest` (towards the upper left).
    Nearest,
    /// Linear in both directions.
    Bilinear,
    /// Cubic in both directions, Keys' kernel with a = -0.75.
    Bicubic,
}

/// Resizes `x` (`[N, C, H, W]`) to the height and width of `like`. While a network is traced, the size stays that of
/// `like`; through tch's own functions it would become the example's size. `align_corners` means nothing to
/// [`Interpolation::Nearest`].
pub fn resize_like(x: &Tensor, like: &Tensor, how: Interpolation, align_corners: bool) -> Result<Tensor, TorchError> {
    let how = match how {
        Interpolation::Nearest => 0,
        Interpolation::Bilinear => 1,
        Interpolation::Bicubic => 2,
    };
    // SAFETY: both tensors live through the call.
    ffi::made(|out| unsafe { ffi::oxiseg_resize_like(x.as_ptr(), like.as_ptr(), how, align_corners.into(), out) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Graph, Script};
    use tch::{Device, Kind};

    #[test]
    fn a_size_is_that_of_the_other_tensor_also_in_a_trace() {
        let image = |height, width| testing::noise(&[1, 2, height, width], 1);
        let (small, like) = (image(3, 4), image(5, 9));
        let resized = |how, align| resize_like(&small, &like, how, align).unwrap();
        assert_eq!(resized(Interpolation::Nearest, false), small.upsample_nearest2d([5, 9], None, None));
        assert_eq!(resized(Interpolation::Bilinear, false), small.upsample_bilinear2d([5, 9], false, None, None));
        assert_eq!(resized(Interpolation::Bilinear, true), small.upsample_bilinear2d([5, 9], true, None, None));
        assert_eq!(resized(Interpolation::Bicubic, false), small.upsample_bicubic2d([5, 9], false, None, None));
        let flat = Tensor::zeros([3], (Kind::Float, Device::Cpu));
        let error = resize_like(&flat, &like, Interpolation::Nearest, false).unwrap_err().to_string();
        assert!(error.contains("tensors of 4 dimensions were expected"), "{error}");

        let script = Script::follow(&image(8, 8), |x| {
            resize_like(&x.adaptive_avg_pool2d([2, 2]), x, Interpolation::Bilinear, false).unwrap()
        });
        let graph = Graph::with_shapes(&script.unwrap(), &[1, 2, 6, 10]).unwrap();
        assert_eq!(graph.operations.last().unwrap().shape(), Some(&[1, 2, 6, 10][..]));
    }
}
