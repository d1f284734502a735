//! Tests of an update in three parts.

use super::*;
use crate::GroupConfig;
use contract::Replayable;

/// Makes an update part by part.
fn replay(setup: &mut Setup, batch: u64) -> Update {
    let loss = loss(&setup.parameters, batch);
    assert_eq!(setup.optim.refusal(), None);
    setup.optim.prepare().unwrap();
    let [norm, rejected] = Replayable::update(&mut setup.optim, &loss).unwrap();
    Update::new(setup.optim.finish().unwrap(), norm, rejected)
}

#[test]
fn the_parts_of_an_update_do_what_the_whole_does() {
    let schedule = Schedule { warmup: 2, decay: Decay::Polynomial { power: 0.9, min_rate: 0.001 } };
    for (rule, scaled) in RULES.into_iter().zip([false, true].into_iter().cycle()) {
        let [mut whole, mut parts] = [(); 2].map(|()| {
            let mut setup = Setup::scheduled(&Config { clip_norm: Some(0.5), ..config(rule) }, schedule.clone());
            if scaled {
                setup.optim = setup.optim.scaling_the_loss().unwrap();
            }
            setup
        });
        for batch in 0..5 {
            let (expected, found) = (whole.batch(batch).unwrap(), replay(&mut parts, batch));
            assert_eq!(found.learning_rate, expected.learning_rate);
            assert!(found.gradient_norm.equal(&expected.gradient_norm) && found.rejected.equal(&expected.rejected));
            assert_same(&whole.values(), &parts.values());
            assert_same(&whole.state(), &parts.state());
            assert_eq!(whole.optim.learning_rate(), parts.optim.learning_rate());
        }
    }
}

#[test]
fn an_update_writes_to_where_the_last_one_did() {
    let schedule = Schedule { warmup: 9, ..Schedule::default() };
    for rule in RULES {
        let mut setup = Setup::scheduled(&config(rule), schedule.clone());
        setup.optim = setup.optim.scaling_the_loss().unwrap();
        let places = |setup: &Setup| -> Vec<(String, usize)> {
            let tensors =
                setup.optim.state().into_iter().filter(|(name, _)| ![UPDATES, ACCUMULATED].contains(&&**name));
            let rate = setup.optim.groups[0].layers[0].rate.data_ptr() as usize;
            tensors.map(|(name, tensor)| (name, tensor.data_ptr() as usize)).chain([("rate".into(), rate)]).collect()
        };
        let before = places(&setup);
        for batch in 0..3 {
            setup.batch(batch).unwrap();
            let saved = setup.state();
            setup.optim.load_state(&saved).unwrap();
        }
        assert_eq!(places(&setup), before);
    }
}

#[test]
fn an_update_that_cannot_be_replayed_says_why() {
    let mut setup = Setup::new(&Config { accumulate: 2, ..config(ADAM) });
    assert_eq!(setup.optim.refusal(), Some("gradients are accumulated"));
    setup.batch(0);
    // Gradients that wait, in a run that goes on with another configuration.
    let mut other = Setup::new(&config(ADAM));
    assert_eq!(other.optim.refusal(), None);
    other.optim.load_state(&setup.state()).unwrap();
    assert_eq!(other.optim.refusal(), Some("gradients are accumulated"));
    other.batch(1).unwrap();
    assert_eq!(other.optim.refusal(), None);
    let asked = other.optim.asked_gradients();
    asked.ask();
    assert_eq!(other.optim.refusal(), Some("histograms of its gradients are wanted"));
    other.batch(2).unwrap();
    assert_eq!(other.optim.refusal(), None);
    assert!(!asked.take().is_empty());
}

#[test]
fn parameters_that_thaw_change_the_number_of_the_operators() {
    let group = GroupConfig { parameters: "m*".into(), factor: 0.5, frozen_epochs: 1 };
    // An epoch has ten updates.
    let mut setup = Setup::new(&Config { groups: vec![group], ..config(ADAM) });
    let numbers: Vec<u64> = (0..12)
        .map(|batch| {
            let number = setup.optim.operators();
            let _ = replay(&mut setup, batch);
            number
        })
        .collect();
    assert_eq!((&numbers[..10], &numbers[10..]), (&[numbers[0]; 10][..], &[numbers[10]; 2][..]));
    assert_ne!(numbers[9], numbers[10]);
}

#[test]
fn an_update_that_is_abandoned_leaves_all_as_it_was_if_nothing_of_it_ran() {
    let mut setup = Setup::new(&config(ADAM));
    setup.batch(0).unwrap();
    let before = (setup.values(), setup.state());
    let loss = loss(&setup.parameters, 1);
    setup.optim.prepare().unwrap();
    assert!(!setup.optim.is_unchanged());
    Replayable::update(&mut setup.optim, &loss.detach()).unwrap_err();
    setup.optim.abandon(true);
    assert!(setup.optim.is_unchanged(), "the backward pass failed");
    assert_same(&before.0, &setup.values());
    assert_same(&before.1, &setup.state());
    for (ran, unchanged) in [(false, true), (true, false)] {
        setup.optim.prepare().unwrap();
        // To the optimizer, it is captured or has run.
        let loss = self::loss(&setup.parameters, 1);
        let _ = Replayable::update(&mut setup.optim, &loss).unwrap();
        setup.optim.abandon(ran);
        assert_eq!(setup.optim.is_unchanged(), unchanged);
        assert!(setup.parameters.iter().all(|(_, parameter)| !parameter.grad().defined()));
    }
}
