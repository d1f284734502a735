//! Max-pooling.

use super::is_fused;
use crate::ffi;
use contract::TorchError;
use tch::Tensor;

/// Returns the maxima of the 2×2 windows of `x_nchw`; an odd last row or column is in none.
///
/// With our [`Kernels`](super::Kernels), on a CPU and in f32, bf16 or f64, the positions of the maxima are not kept but
/// looked up again for the derivative: libtorch keeps 8 bytes for each.
pub fn max_pool2x2(x_nchw: &Tensor) -> Result<Tensor, TorchError> {
    // Without a derivative libtorch keeps nothing either, and a trace for a graph sees libtorch's own operator.
    if !is_fused(x_nchw) || !x_nchw.requires_grad() || x_nchw.size()[2..].iter().any(|&side| side < 2) {
        return Ok(x_nchw.f_max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false)?);
    }
    // SAFETY: the tensor lives through the call, which checks its kind.
    ffi::made(|out| unsafe { ffi::oxiseg_max_pool2x2(x_nchw.as_ptr(), out) })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{kernels, noise};
    use super::*;
    use crate::Fusion;
    use tch::Kind;

    #[test]
    fn it_is_max_pooling_with_its_gradient() {
        for shape in [[2, 3, 8, 8], [1, 32, 7, 10], [3, 40, 12, 5], [1, 1, 2, 2]] {
            for kind in [Kind::Double, Kind::Float, Kind::BFloat16] {
                // Few values, so that windows have ties; and a NaN.
                let x = (noise(&shape, 3) * 4.0).round();
                let _ = x.view(-1).narrow(0, 0, 1).fill_(f64::NAN);
                let x = crate::channels_last(&x.to_kind(kind)).unwrap().detach();
                let [fused, plain] = [true, false].map(|fused| {
                    let _fusion = Fusion::new(kernels(fused));
                    let x = x.copy().set_requires_grad(true);
                    let y = max_pool2x2(&x).unwrap();
                    (&y * noise(&y.size(), 4).to_kind(kind)).sum(Kind::Double).backward();
                    [y.detach(), x.grad()].map(|part| part.nan_to_num(-9.0, None, None))
                });
                assert!(fused[0].equal(&plain[0]), "{shape:?}, {kind:?}");
                assert!(fused[1].equal(&plain[1]), "{shape:?}, {kind:?}: {} and {}", fused[1], plain[1]);
            }
        }
    }
}
