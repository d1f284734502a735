//! Tests that each schedule, the averaging and the decay by layers go on from a state to the bit.

use super::*;
use crate::{Anneal, GroupConfig, LayerDecay, OneCycle, Plateau, Swa};
use std::collections::BTreeSet;

/// Updates in an epoch, and epochs.
const LENGTH: Length = Length { updates_per_epoch: 3, epochs: 6 };

fn setup(config: &Config, decay: &Decay) -> Setup {
    let parameters = parameters();
    let shared = |parameters: &[(String, Tensor)]| -> StateDict {
        parameters.iter().map(|(name, p)| (name.clone(), p.shallow_clone())).collect()
    };
    let schedule = Schedule { warmup: 2, decay: decay.clone() };
    let optim = config.build(shared(&parameters), schedule, LENGTH).unwrap();
    Setup { optim: optim.averaging(shared(&parameters)).unwrap(), parameters }
}

fn average(setup: &mut Setup) -> StateDict {
    let average = setup.optim.average.as_ref().map(|average| average.state()).unwrap_or_default();
    average.into_iter().map(|(name, tensor)| (name, tensor.copy())).collect()
}

/// Ends an epoch, if update number `done` is its last one, with a score that improves twice.
fn score(setup: &mut Setup, done: u64) {
    if done.is_multiple_of(LENGTH.updates_per_epoch) {
        setup.optim.scored(&vec![("loss".into(), [1.0, 0.5, 0.6, 0.7, 0.8, 0.9][done as usize / 3 - 1])]).unwrap();
    }
}

fn decays() -> [Decay; 8] {
    [
        Decay::Constant {},
        Decay::Cosine { min_rate: 0.01, floor: 0.0 },
        Decay::CosineRestarts { period: 2, growth: 2, min_rate: 0.001 },
        Decay::Polynomial { power: 0.9, min_rate: 0.002 },
        Decay::Step { every: 4, factor: 0.3 },
        Decay::OneCycle(OneCycle::default()),
        Decay::OneCycle(OneCycle { anneal: Anneal::Linear, ..OneCycle::default() }),
        Decay::Plateau(Plateau { patience: 0, min_rate: 0.001, ..Plateau::default() }),
    ]
}

fn swa() -> Option<Swa> {
    Some(Swa { start_epoch: 2, learning_rate: Some(0.02), anneal_epochs: 2, anneal: Anneal::Cos })
}

#[test]
fn every_schedule_and_rule_goes_on_from_a_state_after_any_update() {
    let layers = vec!["m*".to_string(), "conv".to_string()];
    for (decay, rule) in decays().iter().flat_map(|decay| RULES.map(|rule| (decay, rule))) {
        let layer_decay = Some(LayerDecay { factor: 0.7, layers: layers.clone() });
        let config = Config { swa: swa(), layer_decay, clip_norm: Some(0.7), ..config(rule) };
        let (mut straight, mut resumed) = (setup(&config, decay), setup(&config, decay));
        let mut rates = BTreeSet::new();
        for batch in 0..LENGTH.updates_per_epoch * LENGTH.epochs {
            let (state, values, mean) = (resumed.state(), resumed.values(), average(&mut resumed));
            resumed = setup(&config, decay);
            tch::no_grad(|| resumed.parameters.iter_mut().for_each(|(name, p)| p.copy_(&values[name])));
            resumed.optim.load_state(&state).unwrap();
            resumed.optim.average().unwrap().load_state(&mean).unwrap();
            assert_eq!(resumed.optim.learning_rate().to_bits(), straight.optim.learning_rate().to_bits());
            let rate = [&mut straight, &mut resumed].map(|setup| {
                let rate = setup.batch(batch).unwrap().learning_rate;
                score(setup, batch + 1);
                rate.to_bits()
            });
            assert_eq!(rate[0], rate[1], "{decay:?}, update {batch}");
            rates.insert(rate[0]);
            assert_same(&resumed.values(), &straight.values());
            assert_same(&resumed.state(), &straight.state());
            assert_same(&average(&mut resumed), &average(&mut straight));
        }
        assert!(rates.len() > 5, "{decay:?}: {rates:?}");
        assert_eq!(straight.optim.learning_rate(), 0.02);
    }
}

#[test]
fn the_mean_is_that_of_the_weights_at_the_ends_of_the_last_epochs() {
    let mut setup = setup(&Config { swa: swa(), ..config(MOMENTUM) }, &Decay::Constant {});
    let mut ends: Vec<StateDict> = Vec::new();
    for done in 1..=LENGTH.updates_per_epoch * LENGTH.epochs {
        setup.batch(done - 1);
        let values = setup.values();
        if done > 6 && done.is_multiple_of(3) {
            ends.push(setup.values());
        }
        for (name, value) in &values {
            let found = &average(&mut setup)[&format!("average.{name}")];
            if ends.is_empty() {
                // Until the first of them, validation sees the weights themselves.
                assert!(done > 6 || found.equal(value), "update {done}: {name}");
            } else {
                let mean = ends.iter().map(|end| end[name].to_kind(Kind::Double)).sum::<Tensor>() / ends.len() as f64;
                let difference = (found - mean).abs().max().double_value(&[]);
                assert!(difference < 1e-6, "update {done}: {name}: {difference}");
            }
        }
    }
    assert_eq!(ends.len(), 4);
}

#[test]
fn layers_learn_as_groups_with_the_factors_of_their_layers_do() {
    let layer_decay = Some(LayerDecay { factor: 0.5, layers: vec!["m*".into(), "v*".into()] });
    let group = |parameters: &str, factor| GroupConfig { parameters: parameters.into(), factor, frozen_epochs: 0 };
    for rule in RULES {
        let by_layers = Config { layer_decay: layer_decay.clone(), ..config(rule) };
        let by_groups = Config { groups: vec![group("m*", 0.25), group("v*", 0.5)], ..config(rule) };
        let [mut layers, mut groups] = [by_layers, by_groups].map(|config| Setup::new(&config));
        for batch in 0..4 {
            layers.batch(batch);
            groups.batch(batch);
        }
        assert_same(&layers.values(), &groups.values());
        // The decay adds nothing to a state, so a run may take it up or leave it.
        Setup::new(&config(rule)).optim.load_state(&layers.state()).unwrap();
    }
}
