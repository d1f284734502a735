//! libtorch's convolutions with the BatchNorm and the ReLU behind them folded in.

use super::{BatchNorm, Kernels, Relu, kernels};
use crate::ffi;
use contract::TorchError;
use tch::Tensor;

/// Stride, padding and groups of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Distance of neighbouring outputs in pixels.
    pub stride: i64,
    /// Number of zeros around the input.
    pub padding: i64,
    /// Number of groups of channels, which see only their own inputs.
    pub groups: i64,
}

/// Convolves `x_nchw` with `weight` (`[outputs, inputs / groups, height, width]`) without bias, then applies BatchNorm
/// by the running statistics, and ReLU if given, as one operator of libtorch's: BatchNorm is folded into the weight.
///
/// For evaluation in bf16 with [`Kernels::Own`] on a CPU. Returns `None` elsewhere, where a derivative is wanted, and
/// while a network is traced.
pub fn folded(
    x_nchw: &Tensor,
    weight: &Tensor,
    how: Geometry,
    norm: BatchNorm,
    relu: Option<Relu>,
) -> Result<Option<Tensor>, TorchError> {
    if kernels() != Kernels::Own {
        return Ok(None);
    }
    let tensors = [x_nchw, weight, norm.weight, norm.bias, norm.running_mean, norm.running_var].map(Tensor::as_ptr);
    let [x, weight, scale, shift, mean, var] = tensors;
    let (epsilon, bound) = (norm.epsilon, relu.map_or(f64::INFINITY, Relu::bound));
    let Geometry { stride, padding, groups } = how;
    let relu = relu.is_some().into();
    // SAFETY: the tensors live through the call, which returns nothing for unsupported ones.
    ffi::maybe_made(|out| unsafe {
        ffi::oxiseg_folded(x, weight, stride, padding, groups, scale, shift, mean, var, epsilon, bound, relu, out)
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{mean, noise};
    use super::*;
    use crate::{Autocast, Fusion};
    use tch::{Device, Kind};

    /// Runs convolution, BatchNorm and ReLU as separate operators, in the precision of `x_nchw`.
    fn plain(x_nchw: &Tensor, weight: &Tensor, how: Geometry, parts: &[Tensor; 4], relu: Option<Relu>) -> Tensor {
        let Geometry { stride, padding, groups } = how;
        let y = x_nchw.conv2d(weight, None::<Tensor>, [stride; 2], [padding; 2], [1, 1], groups);
        let [weight, bias, mean, var] = parts;
        let mut y = y.batch_norm(Some(weight), Some(bias), Some(mean), Some(var), false, 0.1, 1e-5, true);
        match relu {
            Some(relu) => relu.apply(&mut y).unwrap(),
            None => y,
        }
    }

    #[test]
    fn it_is_the_three_of_them_and_rounds_no_worse() {
        let _no_grad = tch::no_grad_guard();
        let shapes = [
            ([2, 3, 17, 20], [16, 3, 3, 3], 1),
            ([1, 32, 9, 8], [48, 32, 1, 1], 1),
            ([2, 24, 14, 15], [24, 1, 3, 3], 24),
        ];
        for (shape, of_weight, groups) in shapes {
            for stride in [1, 2] {
                for relu in [None, Some(Relu::Plain), Some(Relu::Six)] {
                    let how = Geometry { stride, padding: of_weight[2] / 2, groups };
                    let round = |tensor: Tensor| tensor.to_kind(Kind::BFloat16).to_kind(Kind::Double);
                    let (x, weight) = (round(noise(&shape, 1) * 3.0), noise(&of_weight, 2).to_kind(Kind::Float));
                    let parts = [3, 4, 5, 6].map(|seed| noise(&[of_weight[0]], seed) + 1.5);
                    let exact = plain(&x, &weight.to_kind(Kind::Double), how, &parts, relu);
                    let parts = parts.map(|part| part.to_kind(Kind::Float));
                    let x = x.to_kind(Kind::Float);
                    let _autocast = Autocast::new(Device::Cpu, Kind::BFloat16).unwrap();
                    let rounded = plain(&x, &weight, how, &parts, relu);
                    let _fusion = Fusion::new(Kernels::Own);
                    let [w, bias, running_mean, running_var] = &parts;
                    let norm = BatchNorm { weight: w, bias, running_mean, running_var, momentum: 0.1, epsilon: 1e-5 };
                    let found = folded(&x, &weight, how, norm, relu).unwrap().expect("bf16 without gradients");
                    assert_eq!((found.kind(), found.size()), (Kind::BFloat16, rounded.size()));
                    let (ours, theirs) = (mean(&found, &exact), mean(&rounded, &exact));
                    assert!(ours < 1.2 * theirs.max(1e-3), "{shape:?}, {how:?}, {relu:?}: {ours:e}, plain {theirs:e}");
                    assert!(ours > 1e-5, "bf16 cannot be that exact");
                    assert!(tch::with_grad(|| folded(&x, &weight, how, norm, relu)).unwrap().is_none());
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error_and_other_kernels_leave_it() {
        let _no_grad = tch::no_grad_guard();
        let how = Geometry { stride: 1, padding: 1, groups: 1 };
        let x = noise(&[1, 16, 8, 8], 1).to_kind(Kind::BFloat16);
        let [right, wrong] = [16, 17].map(|channels| Tensor::ones([channels], (Kind::Float, Device::Cpu)));
        let weight = noise(&[16, 16, 3, 3], 2).to_kind(Kind::Float);
        let norm = |part| BatchNorm {
            weight: part,
            bias: &right,
            running_mean: &right,
            running_var: &right,
            momentum: 0.1,
            epsilon: 1e-5,
        };
        assert!(folded(&x, &weight, how, norm(&right), None).unwrap().is_none());
        let _fusion = Fusion::new(Kernels::Own);
        assert!(folded(&x, &weight, how, norm(&right), None).unwrap().is_some());
        assert!(
            folded(&x.to_kind(Kind::Float), &weight, how, norm(&right), None).unwrap().is_none(),
            "f32 keeps its bits"
        );
        assert!(folded(&x, &weight, how, norm(&wrong), None).unwrap_err().to_string().contains("BatchNorm"));
        let narrow = noise(&[16, 8, 3, 3], 2).to_kind(Kind::Float);
        assert!(folded(&x, &narrow, how, norm(&right), None).unwrap_err().to_string().contains("channels"));
        let bad = Geometry { groups: 0, ..how };
        assert!(folded(&x, &weight, bad, norm(&right), None).is_err());
        assert!(folded(&x, &weight, Geometry { stride: 0, ..how }, norm(&right), None).is_err());
        assert!(folded(&x, &weight, Geometry { padding: -9, ..how }, norm(&right), None).is_err());
        assert!(folded(&Tensor::new(), &weight, how, norm(&right), None).is_err());
    }
}
