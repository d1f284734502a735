//! All of it together: a UNet with BatchNorm and dropout, ignored pixels, class weights, Dice and accumulation.

use crate::turns::{Place, Turn, alone};
use contract::{Batch, IGNORE_INDEX, Loss, Metric, Optimizer, Ranks, Scores, Share, parameters};
use distributed::AcrossRanks;
use metric::Segmentation;
use model::{Common, Fused, Precision, UNetConfig};
use optim::{Length, Schedule};
use std::sync::Arc;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use testing::{noise, together_owned};

const STEPS: u64 = 20;
const CLASSES: i64 = 3;
/// Samples of the batches of an epoch, of which the last is a rest.
const SAMPLES: [i64; 3] = [7, 7, 1];

/// Returns the batch of all ranks: images, and targets that follow from them, with a border that is ignored.
fn whole(step: u64) -> [Tensor; 2] {
    let samples = SAMPLES[step as usize % 3];
    let images = noise(&[samples, 3, 16, 16], step);
    let ids = (images.mean_dim([1i64].as_slice(), false, Kind::Float) * 4.0 + 1.5).clamp(0.0, 2.0).to_kind(Kind::Int64);
    // More of the first sample is ignored than of the others.
    let _ = ids.narrow(1, 0, 2).fill_(IGNORE_INDEX);
    let _ = ids.narrow(0, 0, 1).narrow(1, 0, 9).fill_(IGNORE_INDEX);
    [images, ids]
}

/// Returns the gradients of `loss` alone; those that wait for an update stay. (What is recomputed hands gradients to no
/// caller of libtorch's engine, only to the weights.)
fn gradients(loss: &Tensor, weights: &[Tensor]) -> Vec<Tensor> {
    let waiting: Vec<Tensor> = weights.iter().map(Tensor::grad).collect();
    weights.iter().for_each(|weight| torch_ext::clear_grad(weight).unwrap());
    loss.backward();
    let replaced = |(weight, waiting): (&Tensor, &Tensor)| {
        let own = weight.grad();
        torch_ext::clear_grad(weight).unwrap();
        if waiting.defined() {
            torch_ext::set_grad(weight, waiting).unwrap();
        }
        own
    };
    weights.iter().zip(&waiting).map(replaced).collect()
}

/// Returns the losses of all steps, the scores, and all variables at the end.
fn train(
    ranks: Arc<dyn Ranks>,
    recompute: bool,
    share_of: impl Fn(i64) -> [i64; 2],
) -> (Vec<f64>, Scores, Vec<Tensor>) {
    let several = ranks.count() > 1;
    let store = VarStore::new(Device::Cpu);
    let common =
        Common { dropout: 0.3, recompute, precision: Precision::Fp32, fused: Fused::Auto, ..Common::default() };
    let config = model::Config::Unet(UNetConfig { width: 8, depth: 2, common, ..UNetConfig::default() });
    let kernels = Fused::Auto.kernels(Precision::Fp32);
    let network = config.build_with(&store, 3, CLASSES, kernels, several.then(|| ranks.clone())).unwrap();
    let class_weights = Some(vec![0.5, 1.0, 2.0].into());
    let loss = loss::Config { dice: 0.5, class_weights, ..loss::Config::default() }.build(Device::Cpu).unwrap();
    let optimizer = optim::Config { accumulate: 2, clip_norm: Some(1.0), ..optim::Config::default() };
    let length = Length { updates_per_epoch: STEPS, epochs: 1 };
    let mut optimizer = optimizer.build(parameters(&store), Schedule::default(), length).unwrap();
    let trained: Vec<Tensor> = parameters(&store).into_values().collect();

    let classes = ["a", "b", "c"].map(String::from).to_vec();
    let loss = AcrossRanks::new(loss, ranks.clone());
    let mut metric = AcrossRanks::new(Segmentation::new(classes, Device::Cpu).unwrap(), ranks.clone());
    let losses = (0..STEPS).map(|step| {
        let [images, targets] = whole(step);
        let of = images.size()[0];
        let [first, own] = share_of(of);
        let mut batch = Batch::new(images.narrow(0, first, own), targets.narrow(0, first, own), Vec::new());
        batch.share = several.then_some(Share { first: first as usize, of: of as usize });
        let outputs = torch_ext::with_share(batch.share, || network.forward_t(&batch.inputs, true)).into();
        let found = loss.loss(&outputs, &batch).unwrap();
        metric.update(&found.detach(), &outputs.detach().unwrap(), &batch).unwrap();
        let weight = || loss.weight(&outputs, &batch);
        if several {
            // What a reducer does: the gradients become their sums, and the optimizer sees no other.
            let gradients = gradients(&found, &trained);
            ranks.sum(&gradients).unwrap();
            let terms = trained.iter().zip(&gradients).map(|(weight, gradient)| (weight * gradient).sum(Kind::Float));
            let linear = terms.reduce(|sum, term| sum + term).unwrap();
            let reduced = &linear - linear.detach() + found.detach();
            optimizer.minimize(&reduced, &weight).unwrap();
        } else {
            optimizer.minimize(&found, &weight).unwrap();
        }
        found.double_value(&[])
    });
    let losses = losses.collect();
    let scores = metric.compute().unwrap();
    let mut state: Vec<Tensor> =
        store.variables().into_iter().collect::<std::collections::BTreeMap<_, _>>().into_values().collect();
    state.push(torch_ext::generator_state(Device::Cpu).unwrap());
    (losses, scores, state.iter().map(|tensor| tensor.detach().copy()).collect())
}

fn farthest(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(left, right)| (left - right).abs()).fold(0.0, f64::max)
}

#[test]
fn two_and_three_ranks_train_what_one_process_trains() {
    let _alone = alone();
    let place = Arc::new(Place::default());
    let over = |count: usize, recompute: bool| {
        together_owned(count, |ranks| {
            Turn::run(ranks, &place, |ranks| {
                let (rank, count) = (ranks.rank() as i64, ranks.count() as i64);
                // Even parts; a batch of one sample leaves all ranks but one without any.
                train(ranks, recompute, |of| [of * rank / count, of * (rank + 1) / count - of * rank / count])
            })
        })
    };
    let alone = over(1, false).remove(0);
    assert!(alone.0[0] - alone.0[15] > 0.05, "it learns: {:?}", alone.0);
    for (count, recompute) in [(2, false), (3, false), (2, true)] {
        let found = over(count, recompute);
        for (losses, scores, state) in &found {
            assert_eq!(losses, &found[0].0, "the same loss on all ranks");
            let off = farthest(losses, &alone.0);
            assert!(off < 1e-5, "{count} ranks, recompute {recompute}: {off:e}, {losses:?}");
            let pixels = |scores: &Scores| scores.last().cloned();
            assert_eq!(pixels(scores), pixels(&alone.1));
            assert!((scores[0].1 - alone.1[0].1).abs() < 1e-5 && scores[0].0 == "loss");
            let same = |(own, first): (&Tensor, &Tensor)| own.equal(first);
            assert!(state.iter().zip(&found[0].2).all(same), "weights, running statistics and generator of all ranks");
            let drawn = [state, &alone.2].map(|state| state.last().map(Tensor::shallow_clone));
            assert_eq!(drawn[0], drawn[1], "as many numbers drawn as by one process");
        }
    }
}
