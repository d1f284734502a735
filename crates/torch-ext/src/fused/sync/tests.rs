//! Ranks as threads, against libtorch's BatchNorm of the whole batch.

use super::super::testing::{mean, noise, worst};
use super::*;
use crate::{Fusion, Kernels, Relu, batch_norm_relu, norm_relu_conv3x3, recomputed};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use tch::{Device, Kind};
use testing::together_owned;

/// Samples of each rank.
const SHARES: [&[i64]; 5] = [&[5], &[2, 3], &[3, 0, 2], &[0, 5], &[1, 1, 3]];

const NORM: [f64; 2] = [0.1, 1e-5];

/// The parts of a BatchNorm: weight, bias and running statistics.
fn parts(channels: i64, kind: Kind) -> [Tensor; 4] {
    let trained = |seed, by: f64, add: f64| (noise(&[channels], seed) * by + add).to_kind(kind).set_requires_grad(true);
    let running = |value: f64| Tensor::full([channels], value, (kind, Device::Cpu));
    [trained(1, 2.0, 3.0), trained(2, 1.0, 0.5), running(0.5), running(2.0)]
}

fn norm(parts: &[Tensor; 4]) -> BatchNorm<'_> {
    let [weight, bias, running_mean, running_var] = parts;
    BatchNorm { weight, bias, running_mean, running_var, momentum: NORM[0], epsilon: NORM[1] }
}

/// Runs `layer` on rows of `x` and returns the outputs, the gradient of the rows, those of weight and bias, and the
/// running statistics.
fn run(x: &Tensor, towards: &Tensor, layer: impl Fn(&Tensor, BatchNorm) -> Tensor) -> [Tensor; 6] {
    let of_norm = if x.kind() == Kind::Double { Kind::Double } else { Kind::Float };
    let parts = parts(x.size()[1], of_norm);
    let x = crate::channels_last(x).unwrap().copy().set_requires_grad(true);
    let y = layer(&x, norm(&parts));
    (&y * towards).sum(of_norm).backward();
    let [weight, bias, running_mean, running_var] = parts;
    [y.detach(), x.grad(), weight.grad(), bias.grad(), running_mean, running_var]
}

/// Runs `layer` on ranks with these samples, checks that their running statistics are the same, and returns what one
/// process would have.
fn over(
    samples: &[i64],
    x: &Tensor,
    towards: &Tensor,
    layer: impl Fn(&Tensor, BatchNorm) -> Tensor + Sync,
) -> [Tensor; 6] {
    let given = Mutex::new((x.shallow_clone(), towards.shallow_clone()));
    let found = together_owned(samples.len(), |ranks| {
        let (first, own) = (samples[..ranks.rank()].iter().sum::<i64>(), samples[ranks.rank()]);
        let [x, towards] = {
            let given = given.lock().unwrap();
            [&given.0, &given.1].map(|whole| whole.narrow(0, first, own).copy())
        };
        let _synced = Synced::new(Some(ranks));
        run(&x, &towards, &layer)
    });
    for number in [4, 5] {
        assert!(found.iter().all(|rank| rank[number].equal(&found[0][number])), "the same running statistics");
    }
    std::array::from_fn(|number| {
        let all: Vec<&Tensor> = found.iter().map(|rank| &rank[number]).collect();
        match number {
            0 | 1 => Tensor::cat(&all, 0),
            2 | 3 => all.into_iter().fold(Tensor::from(0f32), |sum, own| sum + own),
            _ => found[0][number].shallow_clone(),
        }
    })
}

fn plain(x: &Tensor, norm: BatchNorm) -> Tensor {
    batch_norm(x, norm, true).unwrap()
}

#[test]
fn outputs_gradients_and_statistics_are_those_of_the_whole_batch() {
    for shape in [[5, 7, 9, 11], [5, 32, 4, 4], [5, 3, 1, 1]] {
        let (x, towards) = (noise(&shape, 5) * 3.0 + 1.0, noise(&shape, 6) + 0.2);
        for (kind, tolerance) in [(Kind::Double, 1e-12), (Kind::Float, 1e-6)] {
            let (x, towards) = (x.to_kind(kind), towards.to_kind(kind));
            // In f64 the whole batch is exact for both kinds.
            let exact = run(&x.to_kind(Kind::Double), &towards.to_kind(Kind::Double), plain);
            for samples in SHARES {
                let found = over(samples, &x, &towards, plain);
                for (number, (found, exact)) in found.iter().zip(&exact).enumerate() {
                    let off = worst(found, exact);
                    assert!(off < tolerance, "{shape:?}, {kind:?}, {samples:?}, part {number}: {off:e}");
                }
            }
        }
    }
}

#[test]
fn our_kernels_are_as_exact_also_beside_a_rank_without_a_sample() {
    let relu = |x: &Tensor, norm: BatchNorm| batch_norm_relu(x.shallow_clone(), norm, Relu::Six, true).unwrap();
    let fused = |x: &Tensor, norm: BatchNorm| {
        let _fusion = Fusion::new(Kernels::Own);
        relu(x, norm)
    };
    // Lanes that are full and not; more pixels than a block, and few.
    for shape in [[5, 40, 23, 11], [5, 3, 1, 1], [5, 32, 4, 4]] {
        let (x, towards) = (noise(&shape, 5) * 3.0 + 1.0, noise(&shape, 6) + 0.2);
        let exact = run(&x, &towards, relu);
        for kind in [Kind::Double, Kind::Float] {
            let (x, towards) = (x.to_kind(kind), towards.to_kind(kind));
            for samples in SHARES {
                let found = over(samples, &x, &towards, fused);
                for (number, (found, exact)) in found.iter().zip(&exact).enumerate() {
                    // In f32 a value at ReLU's edge may lie on its other side.
                    let (worst, mean) = (worst(found, exact), mean(found, exact));
                    let close = if kind == Kind::Double { worst < 1e-10 } else { mean < 1e-5 };
                    assert!(close, "{shape:?}, {kind:?}, {samples:?}, part {number}: {worst:e}, {mean:e}");
                }
            }
        }
    }
}

#[test]
fn far_values_keep_their_variance_and_bf16_is_as_good_as_on_one_process() {
    let far = (noise(&[5, 4, 16, 16], 7) + 300.0).to_kind(Kind::Float);
    let towards = noise(&[5, 4, 16, 16], 8).to_kind(Kind::Float);
    let exact = run(&far.to_kind(Kind::Double), &towards.to_kind(Kind::Double), plain);
    let found = over(&[2, 3], &far, &towards, plain);
    assert!(worst(&found[5], &exact[5]) < 1e-5, "{:e}", worst(&found[5], &exact[5]));

    let [x, towards] = [5, 6].map(|seed| (noise(&[5, 8, 12, 10], seed) * 3.0).to_kind(Kind::BFloat16));
    let exact = run(&x.to_kind(Kind::Double), &towards.to_kind(Kind::Double), plain);
    let alone = run(&x, &towards, plain);
    for samples in SHARES {
        let found = over(samples, &x, &towards, plain);
        assert_eq!(found.each_ref().map(Tensor::kind), alone.each_ref().map(Tensor::kind));
        for (number, exact) in exact.iter().enumerate() {
            let (ours, theirs) = (mean(&found[number], exact), mean(&alone[number], exact));
            assert!(ours < theirs.max(4e-3) * 1.5, "{samples:?}, part {number}: {ours:e}, one process {theirs:e}");
        }
    }
}

#[test]
fn kernels_with_a_convolution_and_recomputing_bring_the_same() {
    let _alone = crate::trace::alone();
    let (x, towards) = (noise(&[5, 16, 8, 6], 5).to_kind(Kind::Float), noise(&[5, 16, 8, 6], 6).to_kind(Kind::Float));
    let layer = |x: &Tensor, norm: BatchNorm| {
        let _fusion = Fusion::new(Kernels::Winograd);
        let y = batch_norm_relu(x.shallow_clone(), norm, Relu::Six, true).unwrap();
        // A part of its own: the next normalisation has running statistics of its own.
        let parts = parts(16, Kind::Float);
        let filter = (noise(&[16, 16, 3, 3], 9) * 0.1).to_kind(Kind::Float);
        norm_relu_conv3x3(&y, self::norm(&parts), Relu::Plain, &filter).unwrap()
    };
    let again = |x: &Tensor, norm: BatchNorm| {
        let _fusion = Fusion::new(Kernels::Winograd);
        let [weight, bias, mean, var] =
            [norm.weight, norm.bias, norm.running_mean, norm.running_var].map(Tensor::shallow_clone);
        let buffers = [&mean, &var].map(Tensor::shallow_clone);
        recomputed(&[x.shallow_clone()], &buffers, move |inputs| {
            let parts = [&weight, &bias, &mean, &var].map(Tensor::shallow_clone);
            layer(&inputs[0], self::norm(&parts))
        })
        .unwrap()
    };
    let alone = run(&x, &towards, layer);
    for samples in [&[2i64, 3][..], &[0, 5]] {
        let (found, recomputed) = (over(samples, &x, &towards, layer), over(samples, &x, &towards, again));
        for (number, (found, alone)) in found.iter().zip(&alone).enumerate() {
            assert!(mean(found, alone) < 1e-5, "{samples:?}, part {number}: {:e}", mean(found, alone));
            assert!(found.equal(&recomputed[number]), "{samples:?}, part {number}, recomputed");
        }
    }
}

/// Ranks that count their sums.
struct Counting(AtomicU32);

impl Ranks for Counting {
    fn rank(&self) -> usize {
        0
    }
    fn count(&self) -> usize {
        1
    }
    fn sum(&self, tensors: &[Tensor]) -> Result<(), contract::BoxError> {
        assert_eq!(tensors.len(), 1);
        if self.0.fetch_add(1, Ordering::Relaxed) == 3 { Err("rank 1 fell silent".into()) } else { Ok(()) }
    }
    fn broadcast(&self, _: &[Tensor], _: usize) -> Result<(), contract::BoxError> {
        Ok(())
    }
    fn gather(&self, _: &contract::StateDict) -> Result<Vec<contract::StateDict>, contract::BoxError> {
        Ok(Vec::new())
    }
    fn agree(&self, _: u32) -> Result<u32, contract::BoxError> {
        Ok(0)
    }
    fn barrier(&self) -> Result<(), contract::BoxError> {
        Ok(())
    }
}

#[test]
fn ranks_exchange_once_forward_and_once_backward_and_not_in_evaluation() {
    let ranks = Arc::new(Counting(AtomicU32::new(0)));
    let (parts, x) = (parts(16, Kind::Float), noise(&[2, 16, 4, 5], 1).to_kind(Kind::Float));
    let seen = || ranks.0.load(Ordering::Relaxed);
    {
        let _synced = Synced::new(Some(ranks.clone()));
        let running = parts[2].copy();
        let y = batch_norm(&x, norm(&parts), false).unwrap();
        assert!(seen() == 0 && running.equal(&parts[2]));
        let _outside = Synced::new(None);
        let other = batch_norm(&x, norm(&parts), false).unwrap();
        assert!(y.equal(&other));
    }
    assert!(batch_norm(&x, norm(&parts), true).is_ok() && seen() == 0, "none without a guard");
    // The backward pass is made where no guard is alive.
    let forward = || {
        let _synced = Synced::new(Some(ranks.clone()));
        batch_norm(&x, norm(&parts), true).unwrap()
    };
    let filter = (noise(&[16, 16, 3, 3], 9) * 0.1).to_kind(Kind::Float);
    let convolved = || {
        let (_synced, _fusion) = (Synced::new(Some(ranks.clone())), Fusion::new(Kernels::Winograd));
        norm_relu_conv3x3(&x, norm(&parts), Relu::Plain, &filter).unwrap()
    };
    for forward in [&forward as &dyn Fn() -> Tensor, &convolved] {
        ranks.0.store(0, Ordering::Relaxed);
        let y = forward();
        assert_eq!(seen(), 1);
        y.square().sum(Kind::Float).backward();
        assert_eq!(seen(), 2);
        let error = forward().square().sum(Kind::Float).f_backward().unwrap_err();
        assert!(seen() == 4 && error.to_string().contains("rank 1 fell silent"), "{error}");
    }
    assert_eq!(Arc::strong_count(&ranks), 1, "the graphs are gone, and with them their ranks");
    // What is refused holds no ranks either.
    let _refused = (Synced::new(Some(ranks.clone())), Fusion::new(Kernels::Winograd));
    let none = Tensor::from_slice(&[1f32]);
    let odd = BatchNorm { weight: &none, ..norm(&parts) };
    assert!(batch_norm_relu(x.shallow_clone(), odd, Relu::Plain, true).is_err());
    assert!(norm_relu_conv3x3(&x, odd, Relu::Plain, &filter).is_err() && batch_norm(&x, odd, true).is_err());
    assert_eq!(Arc::strong_count(&ranks), 2, "the guard's");
}

#[test]
fn from_no_pixel_nothing_is_learnt_and_what_does_not_fit_is_an_error() {
    let statistics = together_owned(2, |ranks| {
        let _synced = Synced::new(Some(ranks));
        let parts = parts(3, Kind::Float);
        let x = Tensor::zeros([0, 3, 4, 5], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let y = batch_norm(&x, norm(&parts), true).unwrap();
        y.sum(Kind::Float).backward();
        assert_eq!((y.size(), x.grad().size()), (vec![0, 3, 4, 5], vec![0, 3, 4, 5]));
        assert_eq!(parts[0].grad().abs().sum(Kind::Float).double_value(&[]), 0.0);
        [&parts[2], &parts[3]].map(|running| running.double_value(&[0]))
    });
    assert_eq!(statistics, [[0.5, 2.0]; 2]);
    let _synced = Synced::new(Some(Arc::new(contract::Alone::default())));
    let x = Tensor::zeros([1, 4, 2, 2], (Kind::Float, Device::Cpu));
    let error = batch_norm(&x, norm(&parts(3, Kind::Float)), true).unwrap_err();
    assert!(error.to_string().contains("4 channels"), "{error}");
    assert!(batch_norm(&Tensor::new(), norm(&parts(3, Kind::Float)), true).is_err());
}
