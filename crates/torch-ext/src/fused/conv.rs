//! Convolutions 3×3.

use super::sync::handed_over;
use super::{BatchNorm, Kernels, Relu, batch_norm_relu, is_fused, kernels, ranks};
use crate::ffi;
use contract::TorchError;
use tch::{Device, TchError, Tensor};

/// Convolves `x_nchw` with the 3×3 `weight` (`[outputs, inputs, 3, 3]`), with stride 1 and padding 1, without bias.
///
/// With [`Kernels::Winograd`], on a CPU with AVX-512, in f32 or (where the processor has it) bf16, and for multiples of
/// 16 channels, it is computed by Winograd's filtering F(2×2, 3×3) (Lavin & Gray, 2016), with less than half as many
/// products, forward and backward. Sums in f32 then differ in their last digits from those of the definition. In bf16
/// the weight is rounded after its transformation instead of before, and the rounded inputs are sums of four, which
/// makes the error of bf16 two to three times as large. Neither depends on the number of threads.
pub fn conv3x3(x_nchw: &Tensor, weight: &Tensor) -> Result<Tensor, TorchError> {
    if kernels() != Kernels::Winograd {
        return Ok(x_nchw.f_conv2d(weight, None::<&Tensor>, [1, 1], [1, 1], [1, 1], 1)?);
    }
    // SAFETY: the tensors live through the call, which leaves unsupported ones to libtorch.
    ffi::made(|out| unsafe { ffi::oxiseg_conv3x3(x_nchw.as_ptr(), weight.as_ptr(), out) })
}

/// Runs a `convolution` with this bias `[C]`. Where channels lie innermost, libtorch's gradient of a bias takes longer
/// than all other work of the convolution; with our [`Kernels`], on a CPU, it is computed here.
pub fn with_bias(
    bias: &Tensor,
    convolution: impl FnOnce(&Tensor) -> Result<Tensor, TchError>,
) -> Result<Tensor, TorchError> {
    if kernels() == Kernels::Libtorch || !bias.defined() || bias.device() != Device::Cpu || !bias.requires_grad() {
        return Ok(convolution(bias)?);
    }
    let y_nchw = convolution(&bias.detach())?;
    // SAFETY: the tensors live through the call.
    ffi::made(|out| unsafe { ffi::oxiseg_bias(y_nchw.as_ptr(), bias.as_ptr(), out) })
}

/// Applies BatchNorm by the statistics of the batch, ReLU, and [`conv3x3`] to `x_nchw`. With [`Kernels::Winograd`] that
/// is one operator, which never writes the convolution's input to memory, forward or backward.
pub fn norm_relu_conv3x3(x_nchw: &Tensor, norm: BatchNorm, relu: Relu, weight: &Tensor) -> Result<Tensor, TorchError> {
    if kernels() != Kernels::Winograd || !is_fused(x_nchw) {
        return conv3x3(&batch_norm_relu(x_nchw.shallow_clone(), norm, relu, true)?, weight);
    }
    let tensors = [x_nchw, norm.weight, norm.bias, norm.running_mean, norm.running_var, weight].map(Tensor::as_ptr);
    let [x, scale, shift, mean, var, weight] = tensors;
    let (momentum, epsilon, bound) = (norm.momentum, norm.epsilon, relu.bound());
    let over = ranks().map(handed_over);
    let over = over.as_ref().map_or(std::ptr::null(), |over| std::ptr::from_ref(over).cast());
    // SAFETY: the tensors live through the call, which runs separate operators on unsupported ones and takes the ranks.
    ffi::made(|out| unsafe {
        ffi::oxiseg_norm_relu_conv3x3(x, scale, shift, mean, var, momentum, epsilon, over, bound, weight, out)
    })
}

/// Applies [`conv3x3`], BatchNorm by the running statistics, and ReLU to `x_nchw`. With [`Kernels::Winograd`] that is
/// one pass where no derivative is wanted.
pub fn conv3x3_norm_relu(x_nchw: &Tensor, weight: &Tensor, norm: BatchNorm, relu: Relu) -> Result<Tensor, TorchError> {
    if kernels() != Kernels::Winograd {
        let (scale, shift) = (Some(norm.weight), Some(norm.bias));
        let (mean, var) = (Some(norm.running_mean), Some(norm.running_var));
        let y = conv3x3(x_nchw, weight)?;
        return relu.apply(&mut y.f_batch_norm(scale, shift, mean, var, false, norm.momentum, norm.epsilon, true)?);
    }
    let tensors = [x_nchw, weight, norm.weight, norm.bias, norm.running_mean, norm.running_var].map(Tensor::as_ptr);
    let [x, weight, scale, shift, mean, var] = tensors;
    let (epsilon, bound) = (norm.epsilon, relu.bound());
    // SAFETY: the tensors live through the call, which leaves unsupported ones to libtorch.
    ffi::made(|out| unsafe { ffi::oxiseg_conv3x3_norm_relu(x, weight, scale, shift, mean, var, epsilon, bound, out) })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{kernels, mean, noise, worst};
    use super::*;
    use crate::Fusion;
    use tch::Kind;

    /// Returns a convolution's output and its gradients by input and weight.
    fn run(x_nchw: &Tensor, outputs: i64, kind: Kind, fused: bool) -> Vec<Tensor> {
        let _fusion = Fusion::new(kernels(fused));
        let of_weight = if kind == Kind::BFloat16 { Kind::Float } else { kind };
        let x = crate::channels_last(&x_nchw.to_kind(kind)).unwrap().detach().set_requires_grad(true);
        let weight = noise(&[outputs, x_nchw.size()[1], 3, 3], 1).to_kind(of_weight).set_requires_grad(true);
        // As in a network: libtorch's convolution gets the rounded weight, ours rounds by itself.
        let _autocast = (kind == Kind::BFloat16).then(|| crate::Autocast::new(Device::Cpu, kind).unwrap());
        let y = conv3x3(&x, &weight).unwrap();
        assert_eq!(y.kind(), kind);
        let towards = noise(&y.size(), 3).to_kind(kind);
        (&y * towards).sum(Kind::Double).backward();
        vec![y.detach(), x.grad(), weight.grad()]
    }

    // Without AVX-512 there would be nothing to compare.
    #[test]
    #[cfg_attr(not(avx512), ignore = "SKIPPED: this processor has no AVX-512 with bf16")]
    fn it_is_a_convolution_with_its_gradients() {
        // Odd sizes and even ones, panels of 32 channels and halves, more tiles than are computed at once, and fewer
        // than a block.
        let cases = [([2, 16, 7, 10], 48), ([1, 32, 64, 64], 32), ([3, 64, 5, 2], 160), ([1, 272, 9, 8], 16)];
        for (shape, outputs) in cases {
            let x = noise(&shape, 5);
            let exact = run(&x, outputs, Kind::Double, true);
            let f32s = run(&x, outputs, Kind::Float, true);
            assert!(!f32s[0].equal(&run(&x, outputs, Kind::Float, false)[0]), "it was left to libtorch");
            for (part, (found, exact)) in f32s.iter().zip(&exact).enumerate() {
                assert!(worst(found, exact) < 3e-6, "{shape:?}, part {part}: {:e}", worst(found, exact));
            }
            let rounded = x.to_kind(Kind::BFloat16).to_kind(Kind::Double);
            let exact = run(&rounded, outputs, Kind::Double, true);
            let [fused, plain] = [true, false].map(|fused| run(&x, outputs, Kind::BFloat16, fused));
            for (part, exact) in exact.iter().enumerate() {
                let (of_fused, of_plain) = (mean(&fused[part], exact), mean(&plain[part], exact));
                assert!(
                    of_fused < 3.0 * of_plain.max(2e-3),
                    "{shape:?}, part {part}: {of_fused:e}, plain {of_plain:e}"
                );
                assert!(of_fused > 1e-4, "bf16 cannot be that exact");
            }
        }
    }

    #[test]
    #[cfg_attr(not(avx512), ignore = "SKIPPED: this processor has no AVX-512 with bf16")]
    fn behind_batch_norm_and_relu_it_is_what_the_three_are() {
        for (shape, outputs) in [([2, 32, 11, 8], 48), ([3, 16, 4, 5], 16), ([1, 64, 64, 32], 32)] {
            for relu in [Relu::Plain, Relu::Six] {
                let run = |kind: Kind, fused: bool| {
                    let _fusion = Fusion::new(kernels(fused));
                    let of_rest = if kind == Kind::BFloat16 { Kind::Float } else { kind };
                    let x = crate::channels_last(&(noise(&shape, 5) * 3.0 + 1.0).to_kind(kind)).unwrap().detach();
                    let x = x.set_requires_grad(true);
                    let [w, b] = [1, 2].map(|seed| noise(&[shape[1]], seed) * 2.0 + 1.5);
                    let [w, b] = [w, b].map(|tensor| tensor.to_kind(of_rest).set_requires_grad(true));
                    let [mean, var] = [0.5, 2.0].map(|value| Tensor::full([shape[1]], value, (of_rest, Device::Cpu)));
                    let weight = noise(&[outputs, shape[1], 3, 3], 6).to_kind(of_rest).set_requires_grad(true);
                    let _autocast = (kind == Kind::BFloat16).then(|| crate::Autocast::new(Device::Cpu, kind).unwrap());
                    let (running_mean, running_var) = (&mean, &var);
                    let norm =
                        BatchNorm { weight: &w, bias: &b, running_mean, running_var, momentum: 0.1, epsilon: 1e-5 };
                    let y = norm_relu_conv3x3(&x, norm, relu, &weight).unwrap();
                    (&y * noise(&y.size(), 3).to_kind(kind)).sum(Kind::Double).backward();
                    vec![y.detach(), x.grad(), w.grad(), b.grad(), weight.grad(), mean, var]
                };
                let exact = run(Kind::Double, true);
                for (part, (found, exact)) in run(Kind::Float, true).iter().zip(&exact).enumerate() {
                    assert!(mean(found, exact) < 1e-4, "{shape:?}, {relu:?}, part {part}: {:e}", mean(found, exact));
                }
                let [fused, plain] = [true, false].map(|fused| run(Kind::BFloat16, fused));
                for (part, exact) in exact.iter().enumerate() {
                    let (of_fused, of_plain) = (mean(&fused[part], exact), mean(&plain[part], exact));
                    assert!(
                        of_fused < 3.0 * of_plain.max(2e-3),
                        "{shape:?}, part {part}: {of_fused:e}, plain {of_plain:e}"
                    );
                }
            }
        }
    }

    #[test]
    fn others_are_left_to_libtorch() {
        for (shape, outputs) in [([1, 3, 8, 8], 16), ([1, 16, 8, 8], 5), ([2, 32, 1, 9], 32)] {
            let x = noise(&shape, 5);
            for kind in [Kind::Float, Kind::Double] {
                let (fused, plain) = (run(&x, outputs, kind, true), run(&x, outputs, kind, false));
                assert!(fused.iter().zip(&plain).all(|(fused, plain)| fused.equal(plain)), "{shape:?}");
            }
        }
        let _fusion = Fusion::new(Kernels::Winograd);
        let (x, weight) = (noise(&[1, 16, 8, 8], 1), noise(&[16, 32, 3, 3], 2));
        let error = conv3x3(&x.to_kind(Kind::Float), &weight.to_kind(Kind::Float)).unwrap_err();
        assert!(error.to_string().contains("channels"), "{error}");
    }

    #[test]
    fn the_gradient_of_a_bias_is_the_sum_of_the_gradients() {
        let weight = noise(&[24, 40, 2, 2], 1);
        for kind in [Kind::Double, Kind::Float, Kind::BFloat16] {
            let x = crate::channels_last(&noise(&[3, 24, 21, 34], 2).to_kind(kind)).unwrap().set_requires_grad(true);
            let all = [true, false].map(|fused| {
                let _fusion = Fusion::new(kernels(fused));
                let of_bias = if kind == Kind::BFloat16 { Kind::Float } else { kind };
                let bias = noise(&[40], 3).to_kind(of_bias).set_requires_grad(true);
                let up = |bias: &Tensor| {
                    let (weight, bias) = (weight.to_kind(kind), Some(bias.to_kind(kind)));
                    x.f_conv_transpose2d(&weight, bias, [2, 2], [0, 0], [0, 0], 1, [1, 1])
                };
                let y = with_bias(&bias, up).unwrap();
                (&y * noise(&y.size(), 4).to_kind(kind) * 3.0).sum(Kind::Double).backward();
                (y.detach(), bias.grad())
            });
            let [(y, gradient), (plain_y, plain)] = &all;
            assert!(y.equal(plain_y) && gradient.kind() == plain.kind());
            let tolerance = if kind == Kind::BFloat16 { 1e-2 } else { 1e-5 };
            assert!(worst(gradient, plain) < tolerance, "{kind:?}: {:e}", worst(gradient, plain));
        }
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        let _fusion = Fusion::new(Kernels::Winograd);
        let (x, weight) =
            (noise(&[2, 32, 8, 8], 1).to_kind(Kind::Float), noise(&[16, 32, 3, 3], 2).to_kind(Kind::Float));
        let right = Tensor::ones([32], (Kind::Float, Device::Cpu));
        for wrong in [Tensor::ones([31], (Kind::Float, Device::Cpu)), Tensor::ones([32], (Kind::BFloat16, Device::Cpu))]
        {
            for place in 0..4 {
                let part = |number: usize| if number == place { &wrong } else { &right };
                let (weight_, bias, running_mean, running_var) = (part(0), part(1), part(2), part(3));
                let norm = BatchNorm { weight: weight_, bias, running_mean, running_var, momentum: 0.1, epsilon: 1e-5 };
                let error = norm_relu_conv3x3(&x, norm, Relu::Plain, &weight).unwrap_err();
                assert!(error.to_string().contains("BatchNorm"), "{error}");
                let _no_grad = tch::no_grad_guard();
                assert!(batch_norm_relu(x.copy(), norm, Relu::Plain, false).is_err());
            }
        }
    }

    #[test]
    #[cfg_attr(not(avx512), ignore = "SKIPPED: this processor has no AVX-512 with bf16")]
    fn in_evaluation_it_takes_batch_norm_and_relu_along() {
        let _no_grad = tch::no_grad_guard();
        let x = noise(&[2, 32, 11, 8], 7).to_kind(Kind::Float);
        let weight = noise(&[48, 32, 3, 3], 8).to_kind(Kind::Float);
        let [w, b, running_mean, running_var] =
            [11, 12, 13, 14].map(|seed| (noise(&[48], seed) + 1.5).to_kind(Kind::Float));
        let (weight_, bias) = (&w, &b);
        let (running_mean, running_var) = (&running_mean, &running_var);
        let norm = BatchNorm { weight: weight_, bias, running_mean, running_var, momentum: 0.1, epsilon: 1e-5 };
        for relu in [Relu::Plain, Relu::Six] {
            let [fused, plain] = [true, false].map(|fused| {
                let _fusion = Fusion::new(kernels(fused));
                conv3x3_norm_relu(&x, &weight, norm, relu).unwrap()
            });
            assert!(worst(&fused, &plain) < 3e-6, "{relu:?}: {:e}", worst(&fused, &plain));
            assert_eq!(fused.min().double_value(&[]), 0.0);
            // A derivative is there where it is wanted.
            let (variable, derivative) = (x.copy().set_requires_grad(true), Fusion::new(Kernels::Winograd));
            let y = tch::with_grad(|| conv3x3_norm_relu(&variable, &weight, norm, relu).unwrap());
            assert!(y.requires_grad() && worst(&y, &plain) < 3e-6, "{relu:?}");
            drop(derivative);
        }
        let bad = x.copy();
        let _ = bad.get(1).get(3).get(2).get(2).fill_(f64::NAN);
        let _fusion = Fusion::new(Kernels::Winograd);
        let y = conv3x3_norm_relu(&bad, &weight, norm, Relu::Six).unwrap();
        assert_eq!(y.get(1).isnan().any().int64_value(&[]), 1, "no number must not become one");
        assert_eq!(y.get(0).isfinite().all().int64_value(&[]), 1);
    }

    #[test]
    #[cfg_attr(not(avx512), ignore = "SKIPPED: this processor has no AVX-512 with bf16")]
    fn nothing_depends_on_the_number_of_threads() {
        let x = noise(&[2, 32, 40, 40], 6);
        let threads = tch::get_num_threads();
        let all = [1, 2, 5].map(|count| {
            tch::set_num_threads(count);
            run(&x, 32, Kind::Float, true)
        });
        tch::set_num_threads(threads);
        for other in &all[1..] {
            assert!(all[0].iter().zip(other).all(|(one, two)| one.equal(two)));
        }
    }
}
