//! Tests of the average against NumPy's, of swapping and of the state.

use super::*;
use serde::Deserialize;
use tch::{Device, Kind};

/// Output of reference/average.py.
#[derive(Deserialize)]
struct Case {
    decay: f64,
    /// The start, and the value after each step.
    values: Vec<Vec<f32>>,
    averages: Vec<Vec<f64>>,
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("../../reference/average.json")).unwrap()
}

/// Returns a channels-last weight, a variable with the name of the count of updates, one in bf16, and an integer count.
fn variables() -> StateDict {
    let floats =
        |shape: &[i64]| Tensor::arange(shape.iter().product::<i64>(), (Kind::Float, Device::Cpu)).reshape(shape);
    let conv = floats(&[2, 3, 2, 2]).set_requires_grad(true);
    ext::make_channels_last(&conv).unwrap();
    let batches = Tensor::from(3i64);
    [("conv", conv), ("updates", floats(&[])), ("half", floats(&[3]).to_kind(Kind::BFloat16)), ("batches", batches)]
        .map(|(name, tensor)| (name.to_owned(), tensor))
        .into()
}

fn shared(variables: &StateDict) -> StateDict {
    variables.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect()
}

fn copied(state: &StateDict) -> StateDict {
    state.iter().map(|(name, tensor)| (name.clone(), tensor.detach().copy())).collect()
}

/// Adds `by` to all values.
fn train(variables: &StateDict, by: i64) {
    let _no_grad = tch::no_grad_guard();
    variables.values().for_each(|tensor| drop(tensor.shallow_clone().g_add_scalar_(by)));
}

fn assert_same(left: &StateDict, right: &StateDict) {
    assert!(left.keys().eq(right.keys()), "{:?} and {:?}", left.keys(), right.keys());
    for ((name, left), right) in left.iter().zip(right.values()) {
        assert!(left.equal(right), "{name}: {left} and {right}");
    }
}

#[test]
fn the_averages_are_those_of_numpy() {
    for case in cases() {
        let mut variable = Tensor::from_slice(&case.values[0]);
        let mut average = Average::new(case.decay, [("w".to_owned(), variable.shallow_clone())].into()).unwrap();
        assert_eq!(case.averages.len(), case.values.len() - 1);
        for (step, (value, expected)) in case.values[1..].iter().zip(&case.averages).enumerate() {
            variable.copy_(&Tensor::from_slice(value));
            average.update().unwrap();
            let difference = (&average.state()["average.w"] - Tensor::from_slice(expected)).abs().max();
            assert!(difference.double_value(&[]) < 2e-6, "{}, step {step}: {difference}", case.decay);
            assert!(variable.equal(&Tensor::from_slice(value)), "the variable was changed");
        }
    }
}

#[test]
fn what_does_not_change_is_its_own_average_to_the_bit_and_counts_are_copied() {
    let variables = variables();
    let mut average = Average::new(0.9, shared(&variables)).unwrap();
    (0..200).for_each(|_| average.update().unwrap());
    variables.iter().for_each(|(name, value)| assert!(average.state()[&format!("average.{name}")].equal(value)));
    train(&variables, 4);
    average.update().unwrap();
    let state = average.state();
    assert_eq!((state["average.batches"].kind(), state["average.batches"].int64_value(&[])), (Kind::Int64, 7));
    assert_eq!(state["average.half"].kind(), Kind::BFloat16);
    assert!((state["average.updates"].double_value(&[]) - 0.4).abs() < 1e-6);
    assert_eq!(state["average.conv"].stride(), variables["conv"].stride());
    assert!(variables["conv"].requires_grad() && !state["average.conv"].requires_grad());
}

#[test]
fn an_exchange_is_undone_by_another_to_the_bit() {
    let variables = variables();
    let mut average = Average::new(0.9, shared(&variables)).unwrap();
    train(&variables, 1);
    average.update().unwrap();
    let (values, state) = (copied(&variables), copied(&average.state()));

    average.swap().unwrap();
    for (name, value) in &variables {
        assert!(value.equal(&state[&format!("average.{name}")]), "{name}");
    }
    assert!(!variables["conv"].equal(&values["conv"]) && variables["conv"].is_leaf());
    // The state holds the averages, swapped or not, but no update is accepted.
    assert_same(&average.state(), &state);
    let error = average.update().unwrap_err().to_string();
    assert!(error.contains("swap them back"), "{error}");

    average.swap().unwrap();
    assert_same(&copied(&variables), &values);
    assert_same(&average.state(), &state);
    average.update().unwrap();
}

#[test]
fn a_state_continues_to_the_bit() {
    let (whole_variables, variables) = (variables(), variables());
    let mut whole = Average::new(0.5, shared(&whole_variables)).unwrap();
    let mut first = Average::new(0.5, shared(&variables)).unwrap();
    for step in 0..12 {
        train(&whole_variables, step);
        train(&variables, step);
        whole.update().unwrap();
        first.update().unwrap();
        // Another average, with its own past, continues from the state.
        let mut second = Average::new(0.5, shared(&variables)).unwrap();
        second.update().unwrap();
        second.load_state(&copied(&first.state())).unwrap();
        first = second;
        assert_same(&first.state(), &whole.state());
    }
    assert_eq!(whole.state()["updates"].int64_value(&[]), 12);
}

#[test]
fn a_state_that_does_not_fit_is_an_error_and_changes_nothing() {
    type Spoil = fn(&mut StateDict);
    let spoilers: [(&str, Spoil); 6] = [
        ("missing [updates]", |s| drop(s.remove("updates"))),
        ("tensor 'updates': expected a count", |s| drop(s.insert("updates".into(), Tensor::from(-1i64)))),
        ("missing [average.updates], unexpected []", |s| drop(s.remove("average.updates"))),
        ("missing [], unexpected [average.more]", |s| drop(s.insert("average.more".into(), Tensor::from(0f32)))),
        ("tensor 'average.updates': expected [] Float, found [] Double", |s| {
            drop(s.insert("average.updates".into(), Tensor::from(0f64)));
        }),
        ("tensor 'average.half': expected [3] BFloat16, found [4]", |s| {
            drop(s.insert("average.half".into(), Tensor::zeros([4], (Kind::BFloat16, Device::Cpu))));
        }),
    ];
    for (message, spoil) in spoilers {
        let variables = variables();
        let mut average = Average::new(0.9, shared(&variables)).unwrap();
        let before = copied(&average.state());
        train(&variables, 1);
        let mut state = Average::new(0.9, shared(&variables)).unwrap().state();
        spoil(&mut state);
        let error = average.load_state(&state).unwrap_err().to_string();
        assert!(error.contains(message), "{error} instead of {message}");
        assert_same(&average.state(), &before);
    }
}

#[test]
fn an_equal_mean_forgets_the_start_and_goes_on_to_the_bit() {
    let variables = variables();
    let mut mean = Average::equal(shared(&variables)).unwrap();
    let mut sum = variables["conv"].detach().zeros_like().to_kind(Kind::Double);
    for step in 1..=5 {
        train(&variables, step);
        mean.update().unwrap();
        sum += variables["conv"].detach();
        let mut other = Average::equal(shared(&variables)).unwrap();
        other.load_state(&copied(&mean.state())).unwrap();
        mean = other;
        let found = &mean.state()["average.conv"];
        let difference = (found - &sum / step as f64).abs().max().double_value(&[]);
        assert!(difference < 1e-5, "{step}: {difference}");
        assert_eq!(mean.state()["epochs"].int64_value(&[]), step);
    }
    // What another average counted says nothing here.
    let mut exponential = Average::new(0.9, shared(&variables)).unwrap();
    exponential.load_state(&copied(&mean.state())).unwrap();
    assert!(exponential.state()["average.conv"].equal(&mean.state()["average.conv"]));
    assert_eq!(exponential.state()["updates"].int64_value(&[]), 0);
    mean.load_state(&copied(&exponential.state())).unwrap();
    mean.update().unwrap();
    assert!(mean.state()["average.conv"].equal(&variables["conv"]));
}

#[test]
fn a_decay_that_cannot_work_is_refused() {
    for decay in [0.0, 1.0, -0.5, f64::NAN] {
        assert!(Average::new(decay, variables()).is_err(), "{decay}");
    }
}

#[test]
fn nothing_is_read_from_the_device() {
    let mut average = Average::new(0.9, variables()).unwrap();
    let reads = ext::Reads::watch().unwrap();
    average.update().unwrap();
    average.swap().unwrap();
    assert_eq!(reads.count(), 0);
}
