//! Tests that safe Rust cannot make the kernels read or write foreign memory or silently lose a derivative, and that
//! they run on all threads.

use super::testing::{noise, worst};
use super::*;
use crate::ffi;
use crate::{Adam, Sgd, fused_adam, fused_sgd, recomputed, set_grad};
use contract::TorchError;

const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);

fn floats(shape: &[i64], seed: u64) -> Tensor {
    crate::channels_last(&noise(shape, seed).to_kind(Kind::Float)).unwrap()
}

fn norm<'a>(part: &'a Tensor, [running_mean, running_var]: [&'a Tensor; 2]) -> BatchNorm<'a> {
    BatchNorm { weight: part, bias: part, running_mean, running_var, momentum: 0.1, epsilon: 1e-5 }
}

/// Returns a copy of statistics, which a call may change.
fn fresh(part: &Tensor) -> Tensor {
    let copy = || {
        let mut own = part.f_zeros_like()?;
        own.f_copy_(part).map(|()| own)
    };
    copy().unwrap_or_else(|_| part.shallow_clone())
}

#[test]
fn running_statistics_that_share_memory_are_refused_and_nothing_is_written() {
    let _fusion = Fusion::new(Kernels::Winograd);
    let (x, ones, weight) = (floats(&[2, 32, 8, 8], 1), Tensor::ones([32], CPU), floats(&[16, 32, 3, 3], 2));
    let memory = Tensor::zeros([64], CPU);
    for running_mean in [memory.narrow(0, 0, 1).expand([32], false), memory.slice(0, 0, 64, 2)] {
        let norm = norm(&ones, [&running_mean, &ones]);
        for error in [
            batch_norm_relu(x.shallow_clone(), norm, Relu::Plain, true).unwrap_err(),
            norm_relu_conv3x3(&x, norm, Relu::Plain, &weight).unwrap_err(),
        ] {
            assert!(error.to_string().contains("must be contiguous"), "{error}");
        }
        assert_eq!(memory.abs().sum(Kind::Float).double_value(&[]), 0.0, "the values beside it");
        // They are only read here.
        let _no_grad = tch::no_grad_guard();
        let _ = batch_norm_relu(x.copy(), norm, Relu::Plain, false).unwrap();
    }
}

/// Calls of every function, with an activation, a weight and a part of a BatchNorm.
type Call = fn([&Tensor; 3]) -> Result<Tensor, TorchError>;
const CALLS: [(&str, Call); 6] = [
    ("conv3x3", |[x, weight, _]| conv3x3(x, weight)),
    ("norm_relu_conv3x3", |[x, weight, part]| {
        norm_relu_conv3x3(x, norm(part, [&fresh(part), &fresh(part)]), Relu::Six, weight)
    }),
    ("conv3x3_norm_relu", |[x, weight, part]| {
        tch::no_grad(|| conv3x3_norm_relu(x, weight, norm(part, [part, part]), Relu::Plain))
    }),
    ("batch_norm_relu", |[x, _, part]| {
        batch_norm_relu(x.shallow_clone(), norm(part, [&fresh(part), &fresh(part)]), Relu::Plain, true)
    }),
    ("batch_norm_relu, running", |[x, _, part]| {
        tch::no_grad(|| batch_norm_relu(x.shallow_clone(), norm(part, [part, part]), Relu::Plain, false))
    }),
    ("max_pool2x2", |[x, _, _]| tch::with_grad(|| max_pool2x2(&x.f_detach()?.set_requires_grad(true)))),
];

#[test]
fn tensors_without_memory_of_their_own_are_errors() {
    let _fusion = Fusion::new(Kernels::Winograd);
    let right = [floats(&[2, 32, 8, 8], 1), floats(&[32, 32, 3, 3], 2), Tensor::ones([32], CPU)];
    for (place, right_one) in right.iter().enumerate() {
        let undefined = Tensor::new();
        let sparse = right_one.contiguous().to_sparse_sparse_dim(right_one.dim() as i64);
        let opaque = right_one.contiguous().f_to_mkldnn(None::<Kind>);
        for wrong in [Some(undefined), Some(sparse), opaque.ok()].iter().flatten() {
            for (name, call) in CALLS {
                let uses = match place {
                    0 => true,
                    1 => name.contains("conv3x3"),
                    _ => name.contains("norm"),
                };
                if uses {
                    let tensors = [0, 1, 2].map(|at| if at == place { wrong } else { &right[at] });
                    // Either an error or the result of libtorch's own operators, but no read behind a null pointer.
                    let _ = call(tensors);
                }
            }
        }
    }
    let _no_grad = tch::no_grad_guard();
    for (name, call) in CALLS {
        assert!(call([&Tensor::new(), &right[1], &right[2]]).is_err(), "{name}");
    }
}

#[test]
fn values_that_are_marked_instead_of_written_are_read_as_they_are_meant() {
    let (weight, part) = (floats(&[32, 32, 3, 3], 2), noise(&[32], 3).to_kind(Kind::Float) + 1.5);
    let x = floats(&[2, 32, 8, 8], 1);
    let (negative, zero) = (x.internal_neg_view(), Tensor::internal_efficientzerotensor([2, 32, 8, 8], CPU));
    for (x, written) in [(&negative, -&x), (&zero, x.zeros_like())] {
        for (name, call) in CALLS.iter().filter(|(name, _)| *name != "max_pool2x2") {
            let _fusion = Fusion::new(Kernels::Winograd);
            let (found, expected) =
                (call([x, &weight, &part]).unwrap(), call([&written.copy(), &weight, &part]).unwrap());
            // In evaluation they are left to libtorch, which rounds differently.
            assert!(worst(&found, &expected) < 1e-6, "{name}: {:e}", worst(&found, &expected));
        }
    }
    let _fusion = Fusion::new(Kernels::Winograd);
    let (found, expected) = (conv3x3(&x, &weight.internal_neg_view()).unwrap(), conv3x3(&x, &-&weight).unwrap());
    assert!(found.equal(&expected));
}

#[test]
fn what_is_changed_in_place_is_no_more_what_a_backward_pass_has_kept() {
    let _fusion = Fusion::new(Kernels::Winograd);
    let (x, part) = (floats(&[2, 32, 8, 8], 1).set_requires_grad(true), Tensor::ones([32], CPU));
    let kept = &x * 2.0;
    let loss = kept.square().sum(Kind::Float);
    let _ = tch::no_grad(|| batch_norm_relu(kept.shallow_clone(), norm(&part, [&part, &part]), Relu::Plain, false))
        .unwrap();
    let error = loss.f_backward().unwrap_err().to_string();
    assert!(error.contains("modified by an inplace operation"), "{error}");
}

/// Name of an operator, and the operator.
type Derived<'a> = (&'a str, &'a dyn Fn(&Tensor) -> Tensor);

#[test]
fn a_second_derivative_is_right_or_an_error() {
    let _alone = crate::trace::alone();
    let (weight, part) = (floats(&[32, 32, 3, 3], 2), Tensor::ones([32], CPU));
    let twice = |call: &dyn Fn(&Tensor) -> Tensor, kernels: Kernels| {
        let _fusion = Fusion::new(kernels);
        let x = floats(&[2, 32, 8, 8], 1).set_requires_grad(true);
        let y = call(&x).square().sum(Kind::Float);
        let first = Tensor::f_run_backward(&[y], &[&x], true, true)?;
        Tensor::f_run_backward(&[first[0].square().sum(Kind::Float)], &[&x], false, false)
    };
    let pool = |x: &Tensor| max_pool2x2(x).unwrap();
    let conv = |x: &Tensor| conv3x3(x, &weight).unwrap();
    let batch = |x: &Tensor| {
        batch_norm_relu(x.shallow_clone(), norm(&part, [&fresh(&part), &fresh(&part)]), Relu::Plain, true).unwrap()
    };
    let chain =
        |x: &Tensor| norm_relu_conv3x3(x, norm(&part, [&fresh(&part), &fresh(&part)]), Relu::Plain, &weight).unwrap();
    let again = |x: &Tensor| recomputed(&[x.shallow_clone()], &[], |inputs| inputs[0].tanh()).unwrap();
    let all: [Derived; 5] = [("pool", &pool), ("conv", &conv), ("batch", &batch), ("chain", &chain), ("again", &again)];
    for (name, call) in all {
        // Where the processor lacks AVX-512, the convolution is libtorch's, which has a second derivative.
        if crate::has_avx512() || name != "conv" {
            let error = twice(call, Kernels::Winograd).unwrap_err().to_string();
            assert!(error.contains("second derivative"), "{name}: {error}");
        }
        assert_eq!(twice(call, Kernels::Libtorch).is_ok(), name != "again", "{name}");
    }
    let bias = noise(&[40], 3).to_kind(Kind::Float).set_requires_grad(true);
    let up = floats(&[32, 40, 2, 2], 4);
    let biased = |x: &Tensor| {
        let convolution = |bias: &Tensor| x.f_conv_transpose2d(&up, Some(bias), [2, 2], [0, 0], [0, 0], 1, [1, 1]);
        with_bias(&bias, convolution).unwrap().tanh()
    };
    let [ours, theirs] = [Kernels::Own, Kernels::Libtorch].map(|kernels| twice(&biased, kernels).unwrap());
    assert!(worst(&ours[0], &theirs[0]) < 1e-5);
}

#[test]
fn the_kernels_run_on_all_threads() {
    // SAFETY: a counter of this thread.
    let loop_threads = || unsafe { ffi::oxiseg_loop_threads() };
    let (weight, part) = (floats(&[32, 32, 3, 3], 2), Tensor::ones([32], CPU));
    let before = tch::get_num_threads();
    tch::set_num_threads(3);
    let mut found = Vec::new();
    for (name, call) in CALLS {
        if name.contains("conv3x3") && !crate::has_avx512() {
            continue;
        }
        let _fusion = Fusion::new(Kernels::Winograd);
        let x = floats(&[4, 32, 64, 64], 1).set_requires_grad(!name.contains("running"));
        let y = call([&x, &weight, &part]).unwrap();
        found.push((name, "forward", loop_threads()));
        if y.requires_grad() {
            y.sum(Kind::Float).backward();
            found.push((name, "backward", loop_threads()));
        }
    }
    tch::set_num_threads(1);
    let _fusion = Fusion::new(Kernels::Winograd);
    let _ = CALLS[3].1([&floats(&[4, 32, 64, 64], 1), &weight, &part]).unwrap();
    let alone = loop_threads();
    tch::set_num_threads(before);
    assert!(found.len() >= 4 && found.iter().all(|(_, _, threads)| *threads == 3), "{found:?}");
    assert_eq!(alone, 1);
}

#[test]
fn optimizers_refuse_what_does_not_fit_their_parameters() {
    let parameter = || [floats(&[8, 4, 3, 3], 1)];
    let learning_rate = &Tensor::from(0.1f64);
    let adam = Adam { learning_rate, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0, decoupled: false };
    let step = Tensor::from(1f32);
    let short = [Tensor::ones([4, 4, 3, 3], CPU)];
    let spread = [Tensor::ones([1], CPU).expand([8, 4, 3, 3], false)];
    let plain = [Tensor::zeros([8, 4, 3, 3], CPU)];
    let state = || [floats(&[8, 4, 3, 3], 1).zeros_like()];
    let double = [floats(&[8, 4, 3, 3], 1).to_kind(Kind::Double)];
    let run = |p: &[Tensor], g: &[Tensor], m: &[Tensor], step: &Tensor, found: Option<&Tensor>| {
        fused_adam(p, g, m, &state(), step, adam, None, found)
    };
    run(&parameter(), &parameter(), &state(), &step, None).unwrap();
    for wrong in [&short, &spread, &[Tensor::new()]] {
        assert!(run(wrong, &parameter(), &state(), &step, None).is_err());
        assert!(run(&parameter(), &parameter(), wrong, &step, None).is_err());
    }
    assert!(run(&parameter(), &short, &state(), &step, None).is_err());
    assert!(run(&parameter(), &parameter(), &plain, &step, None).is_err(), "a state in another layout");
    assert!(run(&parameter(), &parameter(), &double, &step, None).is_err());
    for wrong in [Tensor::zeros([0], CPU), Tensor::from(1f64), Tensor::new()] {
        assert!(run(&parameter(), &parameter(), &state(), &wrong, None).is_err());
        assert!(run(&parameter(), &parameter(), &state(), &step, Some(&wrong)).is_err());
    }
    let sgd = Sgd { learning_rate, momentum: 0.9, weight_decay: 0.0, nesterov: false };
    for wrong in [Tensor::zeros([2], CPU), Tensor::from(1i64), Tensor::new()] {
        let (adam, sgd) = (Adam { learning_rate: &wrong, ..adam }, Sgd { learning_rate: &wrong, ..sgd });
        assert!(fused_adam(&parameter(), &parameter(), &state(), &state(), &step, adam, None, None).is_err());
        assert!(fused_sgd(&parameter(), &parameter(), &state(), sgd, None, None).is_err());
    }
    assert!(fused_sgd(&parameter(), &short, &state(), sgd, None, None).is_err());
    assert!(fused_sgd(&parameter(), &parameter(), &short, sgd, None, None).is_err());
    // A gradient in another layout is brought to the parameter's; both used to be read in the order of memory.
    let after = |gradient: &Tensor| {
        let [parameter] = parameter();
        fused_sgd(&[parameter.shallow_clone()], &[gradient.shallow_clone()], &state(), sgd, None, None).unwrap();
        parameter
    };
    let gradient = floats(&[8, 4, 3, 3], 7);
    assert!(after(&gradient).equal(&after(&gradient.contiguous())));
}

#[test]
fn a_gradient_is_another_tensor_of_the_same_size_and_kind() {
    let x = Tensor::ones([2], CPU).set_requires_grad(true);
    for wrong in [Tensor::ones([3], CPU), Tensor::ones([2], (Kind::Double, Device::Cpu)), Tensor::new()] {
        assert!(set_grad(&x, &wrong).is_err());
    }
    assert!(set_grad(&x, &x).is_err() && set_grad(&Tensor::new(), &x).is_err());
}

#[test]
fn nothing_to_recompute_is_an_error() {
    for inputs in [vec![], vec![Tensor::new()]] {
        assert!(recomputed(&inputs, &[], |_| Tensor::ones([1], CPU)).is_err());
    }
}

#[test]
fn whatever_is_thrown_stays_behind_the_border() {
    for (what, says) in [(0, "unknown C++ exception"), (1, "out of memory"), (2, "as told"), (3, "by libtorch")] {
        // SAFETY: it throws, and returns 1.
        let error = ffi::checked(unsafe { ffi::oxiseg_throw(what) }).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
}
