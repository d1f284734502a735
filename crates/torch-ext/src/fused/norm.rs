//! BatchNorm and ReLU.

use super::sync::handed_over;
use super::{BatchNorm, Relu, batch_norm, is_fused, ranks};
use crate::ffi;
use contract::TorchError;
use tch::Tensor;

/// Applies BatchNorm and ReLU to `x_nchw`: by the statistics of the batch in training, otherwise by the running ones.
///
/// With our [`Kernels`](super::Kernels), on a CPU and in f32, bf16 or f64, that is one operator. In training it has its
/// own derivative and makes two passes over memory forward and two backward, half of what libtorch's two operators
/// make; sums are made in the same order for any number of threads. Otherwise, if no derivative is wanted, it makes one
/// pass, in place of `x_nchw`. While [`Synced`](super::Synced) is alive, the statistics are those of all ranks'
/// batches.
pub fn batch_norm_relu(x_nchw: Tensor, norm: BatchNorm, relu: Relu, train: bool) -> Result<Tensor, TorchError> {
    if !is_fused(&x_nchw) {
        return relu.apply(&mut batch_norm(&x_nchw, norm, train)?);
    }
    let BatchNorm { weight, bias, running_mean, running_var, momentum, epsilon } = norm;
    let tensors = [&x_nchw, weight, bias, running_mean, running_var].map(Tensor::as_ptr);
    let ([x, weight, bias, mean, var], bound) = (tensors, relu.bound());
    let over = ranks().filter(|_| train).map(handed_over);
    let over = over.as_ref().map_or(std::ptr::null(), |over| std::ptr::from_ref(over).cast());
    // SAFETY: the tensors live through the call, which checks their kinds and takes the ranks.
    ffi::made(|out| unsafe {
        if train {
            ffi::oxiseg_batch_norm_relu(x, weight, bias, mean, var, momentum, epsilon, over, bound, out)
        } else {
            ffi::oxiseg_norm_relu(x, weight, bias, mean, var, epsilon, bound, out)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{kernels, mean, noise, worst};
    use super::*;
    use crate::Kernels;
    use tch::{Device, Kind};

    /// Returns the output, the gradients of input, weight and bias, and the statistics afterwards.
    fn run(x_nchw: &Tensor, kind: Kind, relu: Relu, fused: bool) -> Vec<Tensor> {
        let _fusion = crate::Fusion::new(kernels(fused));
        let channels = x_nchw.size()[1];
        let of_norm = if kind == Kind::Double { Kind::Double } else { Kind::Float };
        let x = crate::channels_last(&x_nchw.to_kind(kind)).unwrap().detach().set_requires_grad(true);
        let weight = (noise(&[channels], 1) * 4.0 + 5.0).to_kind(of_norm).set_requires_grad(true);
        let bias = (noise(&[channels], 2) + 1.0).to_kind(of_norm).set_requires_grad(true);
        let [running_mean, running_var] =
            [0.5, 2.0].map(|value| Tensor::full([channels], value, (of_norm, Device::Cpu)));
        let norm = BatchNorm {
            weight: &weight,
            bias: &bias,
            running_mean: &running_mean,
            running_var: &running_var,
            momentum: 0.1,
            epsilon: 1e-5,
        };
        let y = batch_norm_relu(x.shallow_clone(), norm, relu, true).unwrap();
        // Gradients that differ from pixel to pixel, in another layout.
        let towards = noise(&y.size(), 3).to_kind(kind);
        (&y * towards).sum(of_norm).backward();
        vec![y.detach(), x.grad(), weight.grad(), bias.grad(), running_mean, running_var]
    }

    #[test]
    fn it_is_batch_norm_and_relu_with_their_gradients() {
        // Channels that fill lanes, and some that do not; more pixels than a block, and few.
        for shape in [[3, 32, 33, 29], [2, 40, 9, 7], [1, 3, 5, 1], [5, 70, 1, 1], [2, 1, 64, 64]] {
            for relu in [Relu::Plain, Relu::Six] {
                let x = noise(&shape, 5) * 3.0 + 7.0;
                for kind in [Kind::Double, Kind::Float] {
                    let (fused, plain) = (run(&x, kind, relu, true), run(&x, kind, relu, false));
                    for (number, (fused, plain)) in fused.iter().zip(&plain).enumerate() {
                        let (worst, mean) = (worst(fused, plain), mean(fused, plain));
                        let close = if kind == Kind::Double { worst < 1e-10 } else { mean < 1e-4 };
                        assert!(close, "{shape:?}, {kind:?}, {relu:?}, part {number}: {worst:e}, {mean:e}");
                    }
                }
                // In bf16 both are rounded, so each is compared with the exact result.
                let exact = run(&x.to_kind(Kind::BFloat16).to_kind(Kind::Double), Kind::Double, relu, false);
                let [fused, plain] = [true, false].map(|fused| run(&x, Kind::BFloat16, relu, fused));
                for (number, exact) in exact.iter().enumerate() {
                    let (of_fused, of_plain) = (mean(&fused[number], exact), mean(&plain[number], exact));
                    assert!(
                        of_fused < of_plain.max(4e-3) * 1.5,
                        "{shape:?}, part {number}: {of_fused}, plain {of_plain}"
                    );
                }
            }
        }
    }

    #[test]
    fn its_gradient_is_that_of_differences() {
        let _fusion = crate::Fusion::new(Kernels::Winograd);
        let (x, towards) = (noise(&[2, 3, 4, 3], 8) * 2.0, noise(&[2, 3, 4, 3], 9));
        let (weight, bias) = (noise(&[3], 10) * 2.0 + 5.0, noise(&[3], 11) + 1.0);
        let loss = |x: &Tensor| {
            let [running_mean, running_var] = [0.0, 1.0].map(|v| Tensor::full([3], v, (Kind::Double, Device::Cpu)));
            let (momentum, epsilon) = (0.1, 1e-5);
            let (weight, bias, running_mean, running_var) = (&weight, &bias, &running_mean, &running_var);
            let norm = BatchNorm { weight, bias, running_mean, running_var, momentum, epsilon };
            (batch_norm_relu(x.shallow_clone(), norm, Relu::Six, true).unwrap() * &towards).sum(Kind::Double)
        };
        let variable = x.copy().set_requires_grad(true);
        loss(&variable).backward();
        let gradient = variable.grad();
        let mut largest = 0.0f64;
        for place in 0..72 {
            let step = 1e-6;
            let moved = |by: f64| {
                let other = x.copy();
                let _ = other.view(-1).get(place).g_add_scalar_(by);
                loss(&other).double_value(&[])
            };
            let difference = (moved(step) - moved(-step)) / (2.0 * step);
            let found = gradient.flatten(0, -1).double_value(&[place]);
            assert!((found - difference).abs() < 1e-6, "{place}: {found} and {difference}");
            largest = largest.max(found.abs());
        }
        assert!(largest > 0.1);
    }

    #[test]
    fn what_is_no_number_stays_none_and_far_values_keep_their_variance() {
        let x = noise(&[2, 8, 16, 16], 4);
        for value in [f64::NAN, f64::INFINITY] {
            for kind in [Kind::Float, Kind::BFloat16] {
                let bad = x.copy();
                let _ = bad.get(1).get(3).get(2).get(2).fill_(value);
                let found = run(&bad, kind, Relu::Six, true);
                assert_eq!(found[0].isfinite().all().int64_value(&[]), 0, "{value}, {kind:?}");
                assert_eq!(found[4].isfinite().all().int64_value(&[]), 0, "the running mean");
                assert_eq!(found[0].select(1, 2).isfinite().all().int64_value(&[]), 1, "other channels");
            }
        }
        let far = &x + 3000.0;
        let (fused, exact) = (run(&far, Kind::Float, Relu::Six, true), run(&far, Kind::Double, Relu::Six, false));
        assert!(worst(&fused[5], &exact[5]) < 1e-3, "{}", worst(&fused[5], &exact[5]));
    }

    #[test]
    fn sums_do_not_depend_on_the_number_of_threads() {
        let x = noise(&[4, 24, 40, 40], 6);
        let threads = tch::get_num_threads();
        let all = [1, 2].map(|count| {
            tch::set_num_threads(count);
            run(&x, Kind::Float, Relu::Six, true)
        });
        tch::set_num_threads(threads);
        assert!(all[0].iter().zip(&all[1]).all(|(one, two)| one.equal(two)));
    }

    #[test]
    fn in_evaluation_it_is_by_the_running_statistics() {
        let x = noise(&[2, 40, 30, 37], 7) * 8.0 - 4.0;
        let [weight, bias, running_mean, running_var] = [1, 2, 3, 4].map(|seed| noise(&[40], seed) + 1.5);
        for (kind, tolerance) in [(Kind::Double, 1e-12), (Kind::Float, 1e-6), (Kind::BFloat16, 1e-2)] {
            let of_norm = if kind == Kind::Double { kind } else { Kind::Float };
            let [weight, bias, running_mean, running_var] =
                [&weight, &bias, &running_mean, &running_var].map(|tensor| tensor.to_kind(of_norm));
            let (weight, bias, running_mean, running_var) = (&weight, &bias, &running_mean, &running_var);
            let norm = BatchNorm { weight, bias, running_mean, running_var, momentum: 0.1, epsilon: 1e-3 };
            for (relu, grad) in [(Relu::Plain, false), (Relu::Six, false), (Relu::Six, true)] {
                let [fused, plain] = [true, false].map(|fused| {
                    let _fusion = crate::Fusion::new(kernels(fused));
                    let x = crate::channels_last(&x.to_kind(kind)).unwrap().copy();
                    let run = || batch_norm_relu(x.shallow_clone(), norm, relu, false).unwrap();
                    if grad { run() } else { tch::no_grad(run) }
                });
                assert!(worst(&fused, &plain) < tolerance, "{kind:?}, {relu:?}: {:e}", worst(&fused, &plain));
            }
        }
    }
}
