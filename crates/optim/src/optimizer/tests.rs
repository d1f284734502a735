//! Tests of the fused kernels against plain tensor operations, and of rejection, accumulation and state.

mod failures;
mod gradients;
mod groups;
mod oracle;
mod overflow;
mod plateau;
mod replay;
mod scaled;
mod schedules;
mod weights;

use super::state::{ACCUMULATED, UPDATES};
use super::*;
use crate::{Adam, Decay, Lion, RAdam, Rule, Sgd};
use contract::Stateful;
use oracle::Oracle;
use proptest::prelude::*;
use tch::Device;
use testing::noise;

const ADAM: Rule = Rule::Adam(Adam { beta1: 0.8, beta2: 0.95, epsilon: 1e-7 });
const ADAM_W: Rule = Rule::AdamW(Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-7 });
const SGD: Rule = Rule::Sgd(Sgd { momentum: 0.0, nesterov: false });
const MOMENTUM: Rule = Rule::Sgd(Sgd { momentum: 0.9, nesterov: false });
const NESTEROV: Rule = Rule::Sgd(Sgd { momentum: 0.9, nesterov: true });
const RADAM: Rule = Rule::RAdam(RAdam { beta1: 0.8, beta2: 0.95, epsilon: 1e-7, decoupled_weight_decay: false });
const RADAM_W: Rule = Rule::RAdam(RAdam { beta1: 0.9, beta2: 0.8, epsilon: 1e-7, decoupled_weight_decay: true });
const LION: Rule = Rule::Lion(Lion { beta1: 0.9, beta2: 0.99 });
const RULES: [Rule; 8] = [ADAM, ADAM_W, SGD, MOMENTUM, NESTEROV, RADAM, RADAM_W, LION];

fn config(rule: Rule) -> Config {
    Config { rule, learning_rate: 0.05, weight_decay: 0.1, ..Config::default() }
}

/// Returns a scalar, a vector, a matrix, and the weights of a convolution in the channels-last layout.
fn parameters() -> Vec<(String, Tensor)> {
    let shapes: [(&str, &[i64]); 4] = [("scalar", &[]), ("vector", &[7]), ("matrix", &[3, 4]), ("conv", &[4, 3, 3, 2])];
    let parameter = |(seed, (name, shape)): (u64, (&str, &[i64]))| {
        let value = noise(shape, seed).set_requires_grad(true);
        if shape.len() == 4 {
            ext::make_channels_last(&value).unwrap();
            assert_eq!(value.stride(), [18, 1, 6, 3]);
        }
        (name.to_owned(), value)
    };
    (0..).zip(shapes).map(parameter).collect()
}

fn gradients(parameters: &[(String, Tensor)], batch: u64) -> Vec<Tensor> {
    (0..).zip(parameters).map(|(i, (_, p))| noise(&p.size(), 100 + 10 * batch + i)).collect()
}

/// Returns a loss whose gradients are those of `batch`, whatever the parameters are.
fn loss(parameters: &[(String, Tensor)], batch: u64) -> Tensor {
    let gradients = gradients(parameters, batch);
    parameters.iter().zip(gradients).map(|((_, p), g)| (p * g).sum(Kind::Float)).sum()
}

/// The weight of a batch that counts like any other.
const ONE: fn() -> Result<Tensor, BoxError> = || Ok(Tensor::from(1f32));

/// One update.
const ONCE: Length = Length { updates_per_epoch: 1, epochs: 1 };

/// Parameters and an optimizer of them.
struct Setup {
    parameters: Vec<(String, Tensor)>,
    optim: Optim,
}

impl Setup {
    fn new(config: &Config) -> Self {
        Self::scheduled(config, Schedule::default())
    }

    fn scheduled(config: &Config, schedule: Schedule) -> Self {
        let parameters = parameters();
        let shared = parameters.iter().map(|(name, p)| (name.clone(), p.shallow_clone())).collect();
        Self { optim: config.build(shared, schedule, Length { updates_per_epoch: 10, epochs: 1 }).unwrap(), parameters }
    }

    fn batch(&mut self, batch: u64) -> Option<Update> {
        self.optim.minimize(&loss(&self.parameters, batch), &ONE).unwrap()
    }

    fn values(&self) -> StateDict {
        self.parameters.iter().map(|(name, p)| (name.clone(), p.detach().copy())).collect()
    }

    /// Returns a copy of the optimizer's state as a checkpoint would restore it: in the contiguous layout.
    fn state(&self) -> StateDict {
        self.optim.state().into_iter().map(|(name, t)| (name, t.detach().copy().contiguous())).collect()
    }
}

fn assert_same(left: &StateDict, right: &StateDict) {
    assert!(left.keys().eq(right.keys()), "{:?} and {:?}", left.keys(), right.keys());
    for ((name, left), right) in left.iter().zip(right.values()) {
        assert!(left.equal(right), "{name}: {left} and {right}");
    }
}

/// Makes ten updates of both, and returns the greatest difference of the parameters and of the norms.
fn compare(config: &Config) -> (f64, f64) {
    let schedule = Schedule { warmup: 3, decay: Decay::Cosine { min_rate: config.learning_rate / 5.0, floor: 0.0 } };
    let mut fused = Setup::scheduled(config, schedule.clone());
    let mut oracle = Oracle::new(config, &fused.parameters);
    let mut of_norms = 0f64;
    for update in 0..10 {
        let batches = update * config.accumulate..(update + 1) * config.accumulate;
        let all: Vec<_> = batches.clone().map(|batch| gradients(&fused.parameters, batch)).collect();
        let norm = oracle.update(&all, schedule.rate(config.learning_rate, update, 10));
        let told = batches.filter_map(|batch| fused.batch(batch)).last().unwrap();
        of_norms = of_norms.max((told.gradient_norm.double_value(&[]) / norm - 1.0).abs());
    }
    (oracle.difference(&fused.parameters), of_norms)
}

#[test]
fn every_rule_is_what_plain_tensor_operations_make_of_its_formula() {
    for rule in RULES {
        for clip_norm in [None, Some(0.5)] {
            let (difference, norms) = compare(&Config { clip_norm, ..config(rule) });
            assert!(difference < 1e-6 && norms < 1e-6, "{rule:?}: {difference}, {norms}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_options_give_what_plain_tensor_operations_give(
        shape in 0..6u8, beta1 in 0.0..0.99, beta2 in 0.5..0.9999, epsilon in -8.0..0.0, momentum in 0.01..0.99,
        learning_rate in 1e-5..0.1, weight_decay in 0.0..1.0,
        clip_norm in proptest::option::of(0.01..20.0), accumulate in 1..4u64,
    ) {
        let adam = Adam { beta1, beta2, epsilon: 10f64.powf(epsilon) };
        let rule = match shape {
            0 => Rule::Adam(adam),
            1 => Rule::AdamW(adam),
            2 | 3 => Rule::Sgd(Sgd { momentum, nesterov: shape == 2 }),
            other => Rule::RAdam(RAdam { beta1, beta2, epsilon: adam.epsilon, decoupled_weight_decay: other == 4 }),
        };
        let config = Config { rule, learning_rate, weight_decay, clip_norm, accumulate, ..Config::default() };
        prop_assert!(config.check().is_ok());
        let (difference, norms) = compare(&config);
        prop_assert!(difference < 1e-5 && norms < 1e-5, "{difference}, {norms}");
    }
}

/// Returns non-finite losses with finite gradients, finite losses with non-finite gradients, and both at once.
fn bad_losses(parameters: &[(String, Tensor)]) -> Vec<(&'static str, Tensor)> {
    let good = || loss(parameters, 5);
    let last = &parameters[parameters.len() - 1].1;
    // The slope of the square root at 0 is infinite.
    let steep = (last - last.detach()).sqrt().sum(Kind::Float);
    assert_eq!(steep.double_value(&[]), 0.0);
    vec![
        ("a NaN loss", good() + f64::NAN),
        ("an infinite loss", good() - f64::INFINITY),
        ("an infinite gradient", good() + &steep),
        ("NaN in a gradient", good() + &steep - &steep),
        ("NaN everywhere", good() * f64::NAN),
    ]
}

#[test]
fn what_is_not_finite_changes_nothing_and_the_next_update_is_as_if_it_had_not_been() {
    for rule in RULES {
        for which in 0..5 {
            let config = Config { clip_norm: (which % 2 == 0).then_some(1.0), ..config(rule) };
            let (mut setup, mut undisturbed) = (Setup::new(&config), Setup::new(&config));
            for batch in 0..2 {
                let (update, _) = (setup.batch(batch).unwrap(), undisturbed.batch(batch));
                assert_eq!(update.rejected.double_value(&[]), 0.0);
            }
            let (values, mut state) = (setup.values(), setup.state());
            let (name, bad) = bad_losses(&setup.parameters).swap_remove(which);
            let update = setup.optim.minimize(&bad, &ONE).unwrap().unwrap();
            assert_eq!(update.rejected.double_value(&[]), 1.0, "{name}");
            assert_same(&setup.values(), &values);
            // The schedule advances.
            state.insert(UPDATES.into(), Tensor::from(3i64));
            assert_same(&setup.state(), &state);

            let update = setup.batch(2).unwrap();
            undisturbed.batch(2);
            assert_eq!(update.rejected.double_value(&[]), 0.0, "after {name}");
            assert_same(&setup.values(), &undisturbed.values());
        }
    }
}

#[test]
fn the_first_update_may_be_rejected() {
    let mut setup = Setup::new(&config(ADAM));
    let before = setup.values();
    let bad = loss(&setup.parameters, 0) * f64::NAN;
    setup.optim.minimize(&bad, &ONE).unwrap();
    assert_same(&setup.values(), &before);
    let mut oracle = Oracle::new(&config(ADAM), &setup.parameters);
    setup.batch(1);
    oracle.update(&[gradients(&setup.parameters, 1)], 0.05);
    assert!(oracle.difference(&setup.parameters) < 1e-6);
}

#[test]
fn one_bad_batch_rejects_the_update_it_is_accumulated_into_also_across_a_checkpoint() {
    let config = Config { accumulate: 3, ..config(ADAM) };
    let (mut setup, mut resumed) = (Setup::new(&config), Setup::new(&config));
    let before = setup.values();
    setup.batch(0);
    // Only the loss is bad: its gradients are finite.
    assert!(setup.optim.minimize(&(loss(&setup.parameters, 1) + f64::NAN), &ONE).unwrap().is_none());
    resumed.optim.load_state(&setup.state()).unwrap();
    for setup in [setup, resumed] {
        let mut setup = setup;
        assert_eq!(setup.batch(2).unwrap().rejected.double_value(&[]), 1.0);
        assert_same(&setup.values(), &before);
        assert!((3..6).filter_map(|batch| setup.batch(batch)).all(|update| update.rejected.double_value(&[]) == 0.0));
        assert!(!setup.values()["matrix"].equal(&before["matrix"]));
    }
}

#[test]
fn left_over_batches_count_with_the_mean_of_what_is_there() {
    let config = Config { accumulate: 4, clip_norm: Some(1.0), ..config(ADAM_W) };
    let mut setup = Setup::new(&config);
    let mut oracle = Oracle::new(&config, &setup.parameters);
    assert!(setup.optim.flush().unwrap().is_none(), "there was nothing to flush");
    let batches: Vec<_> = (0..6).map(|batch| gradients(&setup.parameters, batch)).collect();
    assert_eq!((0..6).filter_map(|batch| setup.batch(batch)).count(), 1);
    oracle.update(&batches[..4], 0.05);
    let flushed = setup.optim.flush().unwrap().unwrap();
    let norm = oracle.update(&batches[4..], 0.05);
    assert!((flushed.gradient_norm.double_value(&[]) / norm - 1.0).abs() < 1e-6);
    assert!(oracle.difference(&setup.parameters) < 1e-6);
    assert!(setup.optim.flush().unwrap().is_none(), "it was flushed twice");
}

#[test]
fn a_state_taken_anywhere_continues_to_the_bit() {
    for rule in RULES {
        let config = Config { accumulate: 3, clip_norm: Some(0.7), ..config(rule) };
        let schedule = Schedule { warmup: 2, decay: Decay::Polynomial { power: 0.9, min_rate: 0.001 } };
        for taken_after in 0..7 {
            let [mut whole, mut first, mut second] = [(); 3].map(|()| Setup::scheduled(&config, schedule.clone()));
            (0..10).for_each(|batch| drop(whole.batch(batch)));
            (0..taken_after).for_each(|batch| drop(first.batch(batch)));
            // Gradients accumulated by the fresh optimizer must not be mixed in.
            second.batch(50);
            let _no_grad = tch::no_grad_guard();
            let values = first.values();
            second.parameters.iter_mut().for_each(|(name, p)| p.copy_(&values[name]));
            drop(_no_grad);
            second.optim.load_state(&first.state()).unwrap();
            (taken_after..10).for_each(|batch| drop(second.batch(batch)));
            assert_same(&second.values(), &whole.values());
            assert_same(&second.state(), &whole.state());
        }
    }
}

#[test]
fn a_state_that_does_not_fit_is_an_error_and_changes_nothing() {
    type Spoil = fn(&mut StateDict);
    let spoilers: [(&str, Spoil); 9] = [
        ("missing [first_moment.conv], unexpected []", |s| drop(s.remove("first_moment.conv"))),
        ("missing [gradient.vector], unexpected []", |s| drop(s.remove("gradient.vector"))),
        ("missing [updates]", |s| drop(s.remove(UPDATES))),
        ("missing [], unexpected [velocity.vector]", |s| drop(s.insert("velocity.vector".into(), Tensor::from(0f32)))),
        ("unexpected [gradient.", |s| drop(s.insert(ACCUMULATED.into(), Tensor::from(0i64)))),
        ("tensor 'second_moment.matrix': expected [3, 4]", |s| {
            drop(s.insert("second_moment.matrix".into(), Tensor::zeros([4, 3], (Kind::Float, Device::Cpu))));
        }),
        ("tensor 'gradient.scalar': expected [] Float, found [] Double", |s| {
            drop(s.insert("gradient.scalar".into(), Tensor::from(0f64)));
        }),
        ("tensor 'accumulated': expected a count", |s| drop(s.insert(ACCUMULATED.into(), Tensor::from(-1i64)))),
        ("tensor 'updates': expected a count", |s| drop(s.insert(UPDATES.into(), Tensor::from(1f32)))),
    ];
    let config = Config { accumulate: 2, ..config(ADAM) };
    for (message, spoil) in spoilers {
        let (mut from, mut into) = (Setup::new(&config), Setup::new(&config));
        (0..3).for_each(|batch| drop(into.batch(batch)));
        (3..6).for_each(|batch| drop(from.batch(batch)));
        let (values, before, mut state) = (into.values(), into.state(), from.state());
        spoil(&mut state);
        let error = into.optim.load_state(&state).unwrap_err().to_string();
        assert!(error.contains(message), "{error} instead of {message}");
        assert_same(&into.values(), &values);
        // The accumulated gradients are part of the state.
        assert_same(&into.state(), &before);
    }
}

#[test]
fn the_norm_is_told_as_it_was_before_clipping() {
    let weight = Tensor::zeros([2], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    let config = Config { rule: SGD, learning_rate: 1.0, clip_norm: Some(1.0), ..Config::default() };
    let mut optim = config.build([("w".into(), weight.shallow_clone())].into(), Schedule::default(), ONCE).unwrap();
    let loss = (&weight * Tensor::from_slice(&[3f32, -4.0])).sum(Kind::Float);
    let update = optim.minimize(&loss, &ONE).unwrap().unwrap();
    assert_eq!(update.gradient_norm.double_value(&[]), 5.0);
    let [x, y] = [0, 1].map(|i| weight.double_value(&[i]));
    assert!((x + 0.6).abs() < 1e-6 && (y - 0.8).abs() < 1e-6, "{x}, {y}");
    assert!(!weight.grad().defined());
}

#[test]
fn the_schedule_counts_updates_and_not_batches() {
    let schedule = Schedule { warmup: 2, decay: Decay::Step { every: 1, factor: 0.5 } };
    let mut setup = Setup::scheduled(&Config { accumulate: 2, learning_rate: 0.8, ..config(MOMENTUM) }, schedule);
    assert_eq!(setup.optim.learning_rate(), 0.4, "that of the first, before it");
    let mut rates: Vec<f64> = (0..9).filter_map(|batch| setup.batch(batch)).map(|u| u.learning_rate).collect();
    assert_eq!(setup.optim.learning_rate(), 0.4, "that of the last");
    rates.push(setup.optim.flush().unwrap().unwrap().learning_rate);
    assert_eq!(rates, [0.4, 0.8, 0.8, 0.4, 0.2]);

    let mut resumed = Setup::scheduled(&setup.optim.config, setup.optim.schedule.clone());
    resumed.optim.load_state(&setup.state()).unwrap();
    assert_eq!(resumed.optim.learning_rate(), 0.2);
}

#[test]
fn a_parameter_that_the_loss_does_not_reach_stays() {
    let mut setup = Setup::new(&Config { weight_decay: 0.0, ..config(ADAM) });
    let before = setup.values();
    let update = setup.optim.minimize(&loss(&setup.parameters[..2], 0), &ONE).unwrap().unwrap();
    assert_eq!(update.rejected.double_value(&[]), 0.0);
    let after = setup.values();
    let changed: Vec<_> = after.keys().filter(|name| !after[*name].equal(&before[*name])).collect();
    assert_eq!(changed, ["scalar", "vector"]);
}
