use super::*;
use serde::Deserialize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tch::{Device, Kind, Reduction};

const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);
const IGNORED: i64 = 255;

/// Makes tests that change what all threads share run one after another.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A case of reference/cross_entropy.py.
#[derive(Deserialize)]
struct Case {
    shape: [i64; 4],
    logits: Vec<f64>,
    targets: Vec<i64>,
    weights: Option<Vec<f64>>,
    loss: f64,
    gradient: Vec<f64>,
}

impl Case {
    fn logits(&self, kind: Kind) -> Tensor {
        Tensor::from_slice(&self.logits).reshape(self.shape).to_kind(kind)
    }

    fn targets(&self) -> Tensor {
        let [n, _, h, w] = self.shape;
        Tensor::from_slice(&self.targets).reshape([n, h, w])
    }

    fn weights(&self) -> Option<Tensor> {
        self.weights.as_ref().map(|weights| Tensor::from_slice(weights).to_kind(Kind::Float))
    }
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("../../reference/cross_entropy.json")).unwrap()
}

/// Returns loss and gradient.
fn both(logits: &Tensor, targets: &Tensor, weights: Option<&Tensor>) -> (Tensor, Tensor) {
    let logits = logits.detach().set_requires_grad(true);
    let loss = cross_entropy(&logits, targets, weights, IGNORED).unwrap();
    loss.backward();
    (loss.detach(), logits.grad())
}

fn random(shape: [i64; 4]) -> (Tensor, Tensor) {
    let [n, k, h, w] = shape;
    let logits = (Tensor::arange(n * k * h * w, CPU) * 12.9898).sin().reshape(shape) * 4.0;
    let ids = Tensor::arange(n * h * w, (Kind::Int64, Device::Cpu)) * 7919;
    let targets = ids.remainder(k + 1).reshape([n, h, w]);
    (logits, targets.where_self(&targets.lt(k), &Tensor::from(IGNORED)))
}

#[test]
fn the_cross_entropy_and_its_gradient_are_those_of_the_formula() {
    for (kind, tolerance) in [(Kind::Double, 1e-6), (Kind::Float, 2e-6), (Kind::BFloat16, 0.03)] {
        for case in cases() {
            for channels_last in [false, true] {
                let mut logits = case.logits(kind);
                if channels_last {
                    logits = crate::channels_last(&logits).unwrap();
                }
                let (loss, gradient) = both(&logits, &case.targets(), case.weights().as_ref());
                let expected = if kind == Kind::Double { Kind::Double } else { Kind::Float };
                assert_eq!((loss.kind(), loss.size(), gradient.kind()), (expected, vec![], kind));
                let off = (loss.double_value(&[]) - case.loss).abs();
                assert!(off <= tolerance * case.loss.max(1.0), "{off} of {}", case.loss);
                let exact = Tensor::from_slice(&case.gradient).reshape(case.shape);
                let off = (gradient.to_kind(Kind::Double) - exact).abs().max().double_value(&[]);
                assert!(off <= tolerance, "{kind:?}: {off}");
            }
        }
    }
}

#[test]
fn it_agrees_with_libtorch_and_takes_a_factor() {
    let (logits, targets) = random([2, 5, 33, 29]);
    let weights = Tensor::from_slice(&[0.5f32, 1.0, 0.0, 2.0, 1.5]);
    let theirs = logits.detach().set_requires_grad(true);
    let loss = theirs.cross_entropy_loss(&targets, Some(&weights), Reduction::Sum, IGNORED, 0.0);
    (&loss * 0.25).backward();
    let ours = logits.detach().set_requires_grad(true);
    let sum = cross_entropy(&ours, &targets, Some(&weights), IGNORED).unwrap();
    (&sum * 0.25).backward();
    assert!((&sum / &loss - 1.0).abs().double_value(&[]) < 1e-6);
    assert!((ours.grad() - theirs.grad()).abs().max().double_value(&[]) < 1e-6);
}

#[test]
fn threads_change_no_bit() {
    let _alone = alone();
    // More pixels than libtorch adds up in one thread, and no multiple of a row.
    let (logits, targets) = random([3, 6, 321, 257]);
    let before = tch::get_num_threads();
    let losses = [Kind::Float, Kind::Double].map(|kind| {
        let logits = crate::channels_last(&logits.to_kind(kind)).unwrap();
        let of_threads = [1, 2, 3].map(|threads| {
            tch::set_num_threads(threads);
            both(&logits, &targets, None)
        });
        for (loss, gradient) in &of_threads[1..] {
            assert!(loss.equal(&of_threads[0].0) && gradient.equal(&of_threads[0].1), "{of_threads:?}");
        }
        of_threads[0].0.double_value(&[])
    });
    tch::set_num_threads(before);
    assert!((losses[0] / losses[1] - 1.0).abs() < 1e-7, "{losses:?}");
}

#[test]
fn nan_where_a_pixel_is_ignored_does_not_count_and_elsewhere_it_does() {
    let (logits, targets) = random([1, 3, 4, 4]);
    let plain = cross_entropy(&logits, &targets, None, IGNORED).unwrap();
    let ignored = targets.eq(IGNORED).unsqueeze(1);
    let spoilt = logits.masked_fill(&ignored, f64::NAN);
    assert!(cross_entropy(&spoilt, &targets, None, IGNORED).unwrap().equal(&plain));
    let spoilt = logits.masked_fill(&ignored.logical_not(), f64::NAN);
    assert!(cross_entropy(&spoilt, &targets, None, IGNORED).unwrap().double_value(&[]).is_nan());
}

#[test]
fn what_does_not_fit_is_an_error() {
    let (logits, targets) = random([1, 3, 4, 4]);
    let error = cross_entropy(&logits, &targets.narrow(1, 0, 3), None, IGNORED).unwrap_err().to_string();
    assert!(error.contains("found [1, 3, 4, 4] of Float and [1, 3, 4] of Long"), "{error}");
    assert!(cross_entropy(&logits, &targets.to_kind(Kind::Uint8), None, IGNORED).is_err());
    assert!(cross_entropy(&logits, &targets, Some(&Tensor::ones([4], CPU)), IGNORED).is_err());
    assert!(cross_entropy(&logits, &targets.full_like(3), None, IGNORED).is_err(), "no such class");
    let x = logits.set_requires_grad(true);
    let loss = cross_entropy(&x, &targets, None, IGNORED).unwrap();
    let error = Tensor::f_run_backward(&[loss], &[x], true, true).unwrap_err().to_string();
    assert!(error.contains("has no second derivative"), "{error}");
}

#[test]
fn switches_are_set_together_and_a_check_puts_them_back() {
    let _alone = alone();
    let before = switches();
    deterministic(true).unwrap();
    let all = Determinism { cudnn: 1, benchmark: 0, algorithms: 1, warn_only: 1, fill: 0 };
    assert_eq!((switches(), is_deterministic()), (all, true));
    deterministic(false).unwrap();
    assert_eq!(switches(), before);
    assert!(!is_deterministic());
    let (seen, _) = nondeterministic(is_deterministic).unwrap();
    assert!(seen && switches() == before);
    assert!(std::panic::catch_unwind(|| nondeterministic(|| panic!("no"))).is_err());
    assert_eq!(switches(), before);
}

#[test]
fn operators_without_a_deterministic_algorithm_are_named_once() {
    let _alone = alone();
    let outer = Warnings::watch().unwrap();
    let (sum, names) = nondeterministic(|| {
        let x = Tensor::zeros([4], CPU);
        let _ = x.f_pin_memory(Device::Cuda(0));
        for _ in 0..2 {
            // With the same place twice, either value may stay.
            let _ = x.shallow_clone().put_(&Tensor::from_slice(&[1i64, 1]), &Tensor::from_slice(&[1f32, 2.0]), false);
        }
        x.sum(Kind::Float).numel()
    })
    .unwrap();
    assert_eq!((sum, names), (1, vec!["put_".to_owned()]));
    // Both guards of this thread see all warnings; the last one is that which was passed on.
    let seen = outer.seen();
    assert!(seen.last().is_some_and(|said| said.contains("deprecated")), "{seen:?}");
    let (_, names) = nondeterministic(|| both(&random([1, 3, 4, 4]).0, &random([1, 3, 4, 4]).1, None)).unwrap();
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn numbers_are_counted_row_by_row_whatever_the_switches_are() {
    let _alone = alone();
    let bins = Tensor::from_slice(&[0i64, 2, 2, 1, 1, 1]).reshape([2, 3]);
    for on in [true, false] {
        deterministic(on).unwrap();
        let counts = count(&bins, 4).unwrap();
        assert!(counts.equal(&Tensor::from_slice(&[1i64, 0, 2, 0, 0, 3, 0, 0]).reshape([2, 4])), "{counts:?}");
        assert_eq!(is_deterministic(), on);
    }
    assert!(count(&bins.to_kind(Kind::Float), 4).is_err() && count(&bins.flatten(0, -1), 4).is_err());
    assert!(count(&bins, 2).is_err(), "2 is beyond");
}
