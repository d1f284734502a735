//! Tests of batches that make one update and weigh differently.

use super::*;
use std::cell::Cell;

/// Weights of batches, again and again: as of masks with more and fewer ignored pixels, and with none that counts.
const WEIGHTS: [f32; 5] = [3.0, 4000.0, 0.0, 1.0, 250.0];

fn weight(batch: u64) -> f32 {
    WEIGHTS[batch as usize % WEIGHTS.len()]
}

fn weighing(weight: f32) -> impl Fn() -> Result<Tensor, BoxError> {
    move || Ok(Tensor::from(weight))
}

impl Setup {
    fn weighted(&mut self, batch: u64) -> Option<Update> {
        self.optim.minimize(&loss(&self.parameters, batch), &weighing(weight(batch))).unwrap()
    }

    /// Takes the place of another one, by way of a checkpoint of these tensors.
    fn resume(&mut self, values: &StateDict, state: &StateDict) {
        tch::no_grad(|| self.parameters.iter_mut().for_each(|(name, p)| p.copy_(&values[name])));
        self.optim.load_state(state).unwrap();
    }
}

/// Returns the gradients of the mean over all that counts in `batches`, in f64.
fn mean(parameters: &[(String, Tensor)], batches: std::ops::Range<u64>) -> Vec<Tensor> {
    let sum: f64 = batches.clone().map(|batch| f64::from(weight(batch))).sum();
    let of = |batch: u64| {
        let share = f64::from(weight(batch)) / sum;
        gradients(parameters, batch).into_iter().map(move |gradient| gradient.to_kind(Kind::Double) * share)
    };
    let zeros = parameters.iter().map(|(_, p)| p.detach().zeros_like().to_kind(Kind::Double)).collect();
    batches.fold(zeros, |sums: Vec<Tensor>, batch| sums.iter().zip(of(batch)).map(|(sum, own)| sum + own).collect())
}

#[test]
fn an_update_is_that_of_all_that_counts_also_of_left_over_batches() {
    for rule in RULES {
        for scaled in [false, true] {
            let config = Config { accumulate: 4, clip_norm: Some(0.5), ..config(rule) };
            let mut setup = Setup::new(&config);
            if scaled {
                setup.optim = setup.optim.scaling_the_loss().unwrap();
            }
            let mut oracle = Oracle::new(&config, &setup.parameters);
            // Among them 8 to 11, the first of which weighs most, and 12 to 13, the first of which weighs nothing.
            for batches in [0..4, 4..8, 8..12, 12..14] {
                let expected = oracle.update(&[mean(&setup.parameters, batches.clone())], config.learning_rate);
                let update = batches.filter_map(|batch| setup.weighted(batch)).last();
                let update = update.unwrap_or_else(|| setup.optim.flush().unwrap().unwrap());
                let norm = update.gradient_norm.double_value(&[]);
                assert!((norm / expected - 1.0).abs() < 1e-6, "{rule:?}: {norm}, not {expected}");
            }
            let difference = oracle.difference(&setup.parameters);
            assert!(difference < 1e-6, "{rule:?}: {difference}");
        }
    }
}

#[test]
fn equal_weights_are_a_plain_mean_to_the_bit() {
    for accumulate in [2, 3] {
        let config = Config { accumulate, clip_norm: Some(0.5), ..config(ADAM) };
        let setup = |weight: f32| {
            let mut setup = Setup::new(&config);
            for batch in 0..7 {
                setup.optim.minimize(&loss(&setup.parameters, batch), &weighing(weight)).unwrap();
            }
            setup.values()
        };
        // The gradients summed by hand, and divided by their number.
        let mut plain = Setup::new(&Config { accumulate: 1, ..config.clone() });
        for batches in (0..7).collect::<Vec<_>>().chunks_exact(accumulate as usize) {
            let (last, before) = batches.split_last().unwrap();
            before.iter().for_each(|batch| loss(&plain.parameters, *batch).backward());
            plain.optim.accumulated = accumulate - 1;
            plain.optim.config.accumulate = accumulate;
            plain.batch(*last);
        }
        for weight in [1.0, 7.0, 65_536.0, 0.1] {
            assert_same(&setup(weight), &plain.values());
        }
    }
}

#[test]
fn a_weight_a_million_times_the_first_overflows_nothing_in_f16() {
    let weight = Tensor::ones([2], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    let config = Config { rule: SGD, learning_rate: 1.0, accumulate: 2, ..Config::default() };
    let optim = config.build([("w".into(), weight.shallow_clone())].into(), Schedule::default(), ONCE).unwrap();
    let mut optim = optim.scaling_the_loss().unwrap();
    for (of_batch, gradient) in [(1.0, 0.9), (1e6, 0.5)] {
        // Times the loss scale of 65,536, f16 can hold either gradient, but none that is a few times as large.
        let loss = (weight.to_kind(Kind::Half).to_kind(Kind::Float) * gradient).sum(Kind::Float);
        optim.minimize(&loss, &weighing(of_batch)).unwrap();
    }
    assert_eq!(optim.state()["loss_scale"].double_value(&[]), 65_536.0);
    let moved = 1.0 - weight.double_value(&[0]);
    assert!((moved - 0.5).abs() < 1e-6, "{moved}");
}

#[test]
fn an_update_of_nothing_that_counts_leaves_the_weights_as_they_are() {
    for rule in RULES {
        let mut setup = Setup::new(&Config { weight_decay: 0.0, accumulate: 2, ..config(rule) });
        let before = setup.values();
        for _ in 0..2 {
            setup.optim.minimize(&(loss(&setup.parameters, 1) * 0.0), &weighing(0.0)).unwrap();
        }
        assert_eq!(setup.optim.updates, 1);
        assert_same(&setup.values(), &before);
        setup.weighted(0);
        setup.weighted(1);
        let values = setup.values();
        assert!(values.values().all(|value| value.isfinite().all().int64_value(&[]) == 1));
        assert!(!values["matrix"].equal(&before["matrix"]));
    }
}

#[test]
fn a_state_taken_between_weighted_batches_continues_to_the_bit() {
    let config = Config { accumulate: 3, ..config(ADAM) };
    for taken_after in 0..8 {
        let [mut whole, mut first, mut second] = [(); 3].map(|()| Setup::new(&config));
        (0..10).for_each(|batch| drop(whole.weighted(batch)));
        (0..taken_after).for_each(|batch| drop(first.weighted(batch)));
        second.weighted(51);
        second.resume(&first.values(), &first.state());
        (taken_after..10).for_each(|batch| drop(second.weighted(batch)));
        assert_same(&second.values(), &whole.values());
        assert_same(&second.state(), &whole.state());
    }
}

/// In a checkpoint from before batches were weighted, they are counted.
#[test]
fn batches_that_waited_without_weights_count_like_the_next_one() {
    let config = Config { accumulate: 3, ..config(ADAM) };
    let [mut from, mut resumed, mut flushed, mut expected, mut left_over] = [(); 5].map(|()| Setup::new(&config));
    for batch in 5..7 {
        for setup in [&mut from, &mut expected, &mut left_over] {
            setup.optim.minimize(&loss(&setup.parameters, batch), &weighing(17.0)).unwrap();
        }
    }
    let mut state = from.state();
    state.retain(|name, _| !name.starts_with("weight."));
    assert_eq!(state.len() + 2, from.state().len());
    resumed.resume(&from.values(), &state);
    for (setup, of_next) in [(&mut resumed, 4.0), (&mut expected, 17.0)] {
        let next = setup.optim.minimize(&loss(&setup.parameters, 7), &weighing(of_next)).unwrap();
        assert!(next.is_some());
    }
    assert_same(&resumed.values(), &expected.values());

    flushed.resume(&from.values(), &state);
    for setup in [&mut flushed, &mut left_over] {
        assert!(setup.optim.flush().unwrap().is_some());
    }
    assert_same(&flushed.values(), &left_over.values());
}

#[test]
fn a_weight_is_asked_for_only_where_batches_share_an_update() {
    let asked = Cell::new(0);
    let weight = || {
        asked.set(asked.get() + 1);
        ONE()
    };
    let mut setup = Setup::new(&config(ADAM));
    for batch in 0..3 {
        setup.optim.minimize(&loss(&setup.parameters, batch), &weight).unwrap();
    }
    assert_eq!(asked.get(), 0);
    let mut shared = Setup::new(&Config { accumulate: 2, ..config(ADAM) });
    shared.batch(0);
    // One batch waits, and the next one makes an update with it.
    setup.optim.load_state(&shared.state()).unwrap();
    assert!(setup.optim.minimize(&loss(&setup.parameters, 4), &weight).unwrap().is_some());
    assert_eq!(asked.get(), 1);
    setup.optim.minimize(&loss(&setup.parameters, 5), &weight).unwrap();
    assert_eq!(asked.get(), 1);
}

#[test]
fn a_weight_that_fails_leaves_all_as_it_was() {
    let mut setup = Setup::new(&Config { accumulate: 3, ..config(ADAM) });
    setup.weighted(0);
    let before = (setup.values(), setup.state());
    let loss = loss(&setup.parameters, 1);
    let said = setup.optim.minimize(&loss, &|| Err("no targets".into())).unwrap_err().to_string();
    assert_eq!((said.as_str(), setup.optim.is_unchanged()), ("no targets", true));
    // Two numbers are no weight.
    setup.optim.minimize(&loss, &|| Ok(Tensor::from_slice(&[1f32, 2.0]))).unwrap_err();
    assert!(setup.optim.is_unchanged());
    assert_same(&before.0, &setup.values());
    assert_same(&before.1, &setup.state());
}

#[test]
fn half_of_the_weights_is_no_state() {
    let config = Config { accumulate: 2, ..config(ADAM) };
    let (mut from, mut into) = (Setup::new(&config), Setup::new(&config));
    from.weighted(0);
    let mut state = from.state();
    state.remove("weight.sum");
    let said = into.optim.load_state(&state).unwrap_err().to_string();
    assert!(said.contains("missing [weight.sum]"), "{said}");
}

#[test]
fn nothing_waits_for_the_device() {
    let mut setup = Setup::new(&Config { accumulate: 3, clip_norm: Some(0.5), ..config(MOMENTUM) });
    let reads = ext::Reads::watch().unwrap();
    (0..7).for_each(|batch| drop(setup.weighted(batch)));
    setup.optim.flush().unwrap();
    assert_eq!(reads.count(), 3, "kernels for the CPU, and those only, read the learning rate once an update");
}
