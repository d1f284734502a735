//! Tests of losses across ranks: they are those of one process, with its gradients.

use crate::{Auxiliary, Config, CrossEntropy, Dice, Sum, Term};
use contract::{Batch, BoxError, IGNORE_INDEX, Loss};
use tch::{Device, Kind, Tensor};
use testing::{noise, together};

/// Samples of each rank: even, uneven with nobody, all on one.
const SHARES: [&[i64]; 4] = [&[5], &[2, 3], &[3, 0, 2], &[0, 5]];

fn batch(targets: &Tensor) -> Batch {
    Batch::new(targets.unsqueeze(1).to_kind(Kind::Float), targets.shallow_clone(), Vec::new())
}

/// Returns five maps of four classes. The fourth sample has no valid pixel, and the first has few.
fn targets() -> Tensor {
    let ids = (Tensor::arange(5 * 6 * 7, (Kind::Int64, Device::Cpu)) * 7919).remainder(4).reshape([5, 6, 7]);
    let _ = ids.get(3).fill_(IGNORE_INDEX);
    let _ = ids.get(0).narrow(0, 1, 5).fill_(IGNORE_INDEX);
    ids
}

/// Returns the loss of one process with the gradient of its outputs, and those of ranks with these shares of samples.
fn both(loss_fn: &(dyn Fn() -> Box<dyn Loss> + Sync), targets: &Tensor, samples: &[i64]) -> [(f64, Tensor); 2] {
    let logits = noise(&[5, 4, 6, 7], 3) * 4.0;
    let alone = logits.copy().set_requires_grad(true);
    let loss = loss_fn().loss(&alone.shallow_clone().into(), &batch(targets)).unwrap();
    loss.backward();
    let alone = (loss.double_value(&[]), alone.grad());

    let given = std::sync::Mutex::new((logits, targets.shallow_clone()));
    let found = together(samples.len(), |ranks| {
        let (first, own) = (samples[..ranks.rank()].iter().sum::<i64>(), samples[ranks.rank()]);
        let (logits, targets) = {
            let given = given.lock().unwrap();
            (given.0.narrow(0, first, own).copy(), given.1.narrow(0, first, own).copy())
        };
        let logits = logits.set_requires_grad(true);
        let loss = loss_fn().across(ranks, &logits.shallow_clone().into(), &batch(&targets)).unwrap();
        assert_eq!((loss.size(), loss.kind()), (vec![], Kind::Float));
        loss.backward();
        (loss.double_value(&[]), logits.grad())
    });
    assert!(found.iter().all(|(loss, _)| loss.to_bits() == found[0].0.to_bits()), "the same on all ranks");
    let gradients: Vec<&Tensor> = found.iter().map(|(_, gradient)| gradient).collect();
    assert!(gradients.iter().all(|gradient| gradient.defined()), "a rank without samples has a gradient too");
    [alone, (found[0].0, Tensor::cat(&gradients, 0))]
}

/// Returns a term of each kind that several ranks can train.
fn terms(lovasz_per_image: bool) -> Vec<Term> {
    let (weight, smooth) = (1.0, 1.0);
    let overlaps = [false, true].into_iter().flat_map(|per_image| {
        [
            Term::Dice { weight, smooth, per_image },
            Term::Tversky { weight, alpha: 0.3, beta: 0.7, gamma: 0.75, smooth, per_image },
            Term::Jaccard { weight, smooth, per_image },
        ]
    });
    let others = [
        Term::Focal { weight, gamma: 2.0, sigmoid: false, alpha: None },
        Term::Focal { weight, gamma: 2.0, sigmoid: true, alpha: Some(0.25) },
        Term::BinaryCrossEntropy { weight },
        Term::Ohem { weight, threshold: 0.2, min_kept: 0.3 },
        Term::Lovasz { weight, hinge: false, per_image: lovasz_per_image },
        Term::Lovasz { weight, hinge: true, per_image: lovasz_per_image },
        Term::Boundary { weight },
    ];
    others.into_iter().chain(overlaps).collect()
}

fn built(config: Config) -> impl Fn() -> Box<dyn Loss> + Sync {
    move || Box::new(config.build(Device::Cpu).unwrap())
}

#[test]
fn losses_and_gradients_are_those_of_one_process() {
    let class_weights = Some(vec![0.5, 2.0, 0.0, 1.5].into());
    let plain = Config::default();
    let dice = Config { cross_entropy: 0.0, dice: 1.0, ..Config::default() };
    let weighted = Config { class_weights: class_weights.clone(), ..Config::default() };
    let both_terms = Config { dice: 0.7, class_weights, ..Config::default() };
    let smoothed = Config { label_smoothing: 0.2, ..weighted.clone() };
    let terms = terms(true).into_iter().flat_map(|term| {
        let takes_weights = term.takes_class_weights();
        let alone = Config { cross_entropy: 0.0, terms: vec![term], ..Config::default() };
        let with_weights = Config { class_weights: weighted.class_weights.clone(), ..alone.clone() };
        std::iter::once(alone).chain(takes_weights.then_some(with_weights))
    });
    for config in [plain, dice, weighted.clone(), both_terms, smoothed].into_iter().chain(terms) {
        for samples in SHARES {
            let [(loss, gradient), (found, of_ranks)] = both(&built(config.clone()), &targets(), samples);
            assert!((loss - found).abs() < 1e-6, "{config:?}, {samples:?}: {loss} and {found}");
            let off = (&gradient - &of_ranks).abs().max().double_value(&[]);
            assert!(off < 1e-7 && gradient.abs().max().double_value(&[]) > 1e-4, "{config:?}, {samples:?}: {off:e}");
        }
    }
}

#[test]
fn where_nothing_counts_the_loss_is_0_and_so_are_the_gradients() {
    let nothing = targets().full_like(IGNORE_INDEX);
    let no_weight = Config { class_weights: Some(vec![0.0, 0.0, 0.0, 1.0].into()), ..Config::default() };
    let of_weightless = targets().zeros_like();
    let sum = Config { dice: 1.0, label_smoothing: 0.1, terms: terms(true), ..Config::default() };
    for (config, targets) in [(sum, &nothing), (no_weight, &of_weightless)] {
        for samples in SHARES {
            for (loss, gradient) in both(&built(config.clone()), targets, samples) {
                assert_eq!((loss, gradient.abs().max().double_value(&[])), (0.0, 0.0), "{samples:?}");
            }
        }
    }
}

#[test]
fn a_loss_that_is_not_a_number_is_so_on_all_ranks() {
    for config in [Config::default(), Config { dice: 1.0, cross_entropy: 0.0, ..Config::default() }] {
        let found = together(2, |ranks| {
            let logits = Tensor::zeros([1, 4, 2, 2], (Kind::Float, Device::Cpu));
            let logits = if ranks.rank() == 1 { logits + f64::NAN } else { logits };
            let targets = Tensor::zeros([1, 2, 2], (Kind::Int64, Device::Cpu));
            built(config.clone())().across(ranks, &logits.into(), &batch(&targets)).unwrap().double_value(&[])
        });
        assert!(found.iter().all(|loss| loss.is_nan()), "{found:?}");
    }
}

#[test]
fn a_lovasz_loss_of_whole_batches_is_refused_with_the_way_out() {
    let targets = targets();
    let logits = Tensor::zeros([5, 4, 6, 7], (Kind::Float, Device::Cpu));
    for hinge in [false, true] {
        let terms = vec![Term::Lovasz { weight: 1.0, hinge, per_image: false }];
        let sum = Config { terms, ..Config::default() }.build(Device::Cpu).unwrap();
        let across = sum.across(&contract::Alone::default(), &logits.shallow_clone().into(), &batch(&targets));
        let error = across.unwrap_err().to_string();
        assert!(
            error.contains("Lovász") && error.contains("per_image to true") && error.contains("loss.terms"),
            "{error}"
        );
    }
}

#[test]
fn a_loss_that_does_not_know_ranks_is_refused_by_its_name_also_within_a_sum() {
    fn own(_: &Tensor, _: &Tensor) -> Result<Tensor, BoxError> {
        Ok(Tensor::from(1f32))
    }
    let targets = targets();
    let logits = Tensor::zeros([5, 4, 6, 7], (Kind::Float, Device::Cpu));
    let terms: Vec<(f64, Box<dyn Loss>)> = vec![(1.0, Box::new(Dice { smooth: 1.0 })), (1.0, Box::new(own))];
    let sum = Sum { terms, auxiliary: Auxiliary::default() };
    let error = sum.across(&contract::Alone::default(), &logits.shallow_clone().into(), &batch(&targets)).unwrap_err();
    assert!(error.to_string().contains("::own") && error.to_string().contains("Loss::across"), "{error}");
    let known = CrossEntropy::default().across(&contract::Alone::default(), &logits.into(), &batch(&targets));
    assert!((known.unwrap().double_value(&[]) - 4f64.ln()).abs() < 1e-6);
}
