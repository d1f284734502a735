//! Finite gradients whose updates overflow in the kernels.

use super::*;

/// Makes a step on a parameter of `values` values whose gradient has the norm `norm`. Returns the update, the parameter
/// and the optimizer's state after it.
fn step(config: &Config, values: i64, norm: f64) -> (Update, Tensor, StateDict) {
    let weight = Tensor::ones([values], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    let mut optim = config.build([("w".into(), weight.shallow_clone())].into(), Schedule::default(), ONCE).unwrap();
    let loss = weight.sum(Kind::Float) * (norm / (values as f64).sqrt());
    let update = optim.minimize(&loss, &ONE).unwrap().unwrap();
    (update, weight.detach(), optim.state())
}

fn assert_rejected(config: &Config, values: i64, norm: f64) {
    let (update, weight, state) = step(config, values, norm);
    assert_eq!(update.rejected.double_value(&[]), 1.0, "{config:?}, {values} values");
    assert!(weight.equal(&weight.ones_like()), "{config:?}, {values} values: {weight}");
    let counts = [UPDATES, ACCUMULATED];
    for (name, tensor) in state.iter().filter(|(name, _)| !counts.contains(&name.as_str())) {
        assert!(tensor.equal(&tensor.zeros_like()), "{config:?}, {values} values: {name} is {tensor}");
    }
}

#[test]
fn an_update_that_would_overflow_is_rejected() {
    for values in [1, 2, 50] {
        for rule in [SGD, MOMENTUM, NESTEROV] {
            let config = Config { rule, learning_rate: 1e30, ..Config::default() };
            assert_rejected(&config, values, 1e10);
            assert_rejected(&Config { clip_norm: Some(1e9), ..config }, values, 1e10);
        }
        for rule in [ADAM, ADAM_W] {
            let config = Config { rule, ..Config::default() };
            // A norm that overflows cannot be clipped either.
            for clip_norm in [None, Some(1.0)] {
                assert_rejected(&Config { clip_norm, ..config.clone() }, values.max(2), 1e25);
            }
            assert_rejected(&config, values, 1e25);
            assert_rejected(&Config { learning_rate: 1e30, ..config }, values, 1e10);
        }
    }
}

#[test]
fn what_clipping_makes_small_enough_is_not() {
    for values in [1, 2, 50] {
        let clipped = Config { rule: SGD, learning_rate: 1e30, clip_norm: Some(1e-28), ..Config::default() };
        let (update, weight, _) = step(&clipped, values, 1e10);
        assert_eq!(update.rejected.double_value(&[]), 0.0);
        let moved = (weight - 1.0).norm().double_value(&[]);
        assert!((moved / 100.0 - 1.0).abs() < 1e-4, "{moved}");
    }
    let (update, weight, state) = step(&Config { rule: ADAM, ..Config::default() }, 2, 1e15);
    assert_eq!(update.rejected.double_value(&[]), 0.0);
    assert!(weight.isfinite().all().int64_value(&[]) == 1 && state["second_moment.w"].double_value(&[0]) > 1e28);
}

#[test]
fn what_is_not_finite_is_rejected_also_where_the_learning_rate_is_0() {
    let parameter = Tensor::ones([2], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    let schedule = Schedule { warmup: 0, decay: Decay::Polynomial { power: 1.0, min_rate: 0.0 } };
    let config = Config { rule: MOMENTUM, ..Config::default() };
    let mut optim = config.build([("w".into(), parameter.shallow_clone())].into(), schedule, ONCE).unwrap();
    let mut step = |slope: f64| {
        let update = optim.minimize(&(parameter.sum(Kind::Float) * slope), &ONE).unwrap().unwrap();
        (update.learning_rate, update.rejected.double_value(&[]), optim.state()["velocity.w"].double_value(&[0]))
    };
    assert_eq!(step(1.0), (1e-3, 0.0, 1.0));
    assert_eq!(step(f64::INFINITY), (0.0, 1.0, 1.0));
    assert_eq!(step(1.0), (0.0, 0.0, f64::from(1.9f32)));
}
