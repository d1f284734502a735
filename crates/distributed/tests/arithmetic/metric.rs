//! A metric over ranks.

use contract::{Alone, Batch, BoxError, IGNORE_INDEX, Loss, Metric, Outputs, Ranks, Scores, Stateful};
use distributed::AcrossRanks;
use metric::Segmentation;
use std::sync::Arc;
use tch::{Device, Kind, Tensor};
use testing::{noise, together_owned};

fn segmentation() -> Segmentation {
    Segmentation::new(["a", "b", "c"].map(String::from).into(), Device::Cpu).unwrap()
}

/// Returns logits and targets of `step`: seven samples of three classes, some pixels ignored.
fn step(step: u64) -> [Tensor; 2] {
    let ids = ((noise(&[7, 5, 6], step + 50) + 1.0) * 2.0).to_kind(Kind::Int64);
    [noise(&[7, 3, 5, 6], step), ids.where_self(&ids.lt(3), &Tensor::from(IGNORE_INDEX))]
}

/// Takes the rows of a rank, of seven that are shared unevenly, into account.
fn update(metric: &mut impl Metric, number: u64, [first, own]: [i64; 2]) {
    let [logits, targets] = step(number).map(|whole| whole.narrow(0, first, own));
    // The loss is the same on all ranks, as `AcrossRanks` makes it.
    let loss = Tensor::from(0.3f32 + number as f32 / 7.0);
    metric.update(&loss, &Outputs::from(logits), &Batch::new(Tensor::new(), targets, Vec::new())).unwrap();
}

fn close(left: &Scores, right: &Scores) -> bool {
    let alike = |(left, right): (&(String, f64), &(String, f64))| {
        let exact = left.1 == right.1 || left.1.is_nan() && right.1.is_nan();
        left.0 == right.0 && if left.0 == "loss" { (left.1 - right.1).abs() < 1e-12 } else { exact }
    };
    left.len() == right.len() && left.iter().zip(right).all(alike)
}

#[test]
fn scores_are_those_of_one_process_on_every_rank_and_states_stay_each_ranks_own() {
    let mut alone = segmentation();
    (0..4).for_each(|number| update(&mut alone, number, [0, 7]));
    let expected = alone.compute().unwrap();
    for shares in [&[[0, 7]][..], &[[0, 3], [3, 4]], &[[0, 2], [2, 0], [2, 5]]] {
        let found = together_owned(shares.len(), |ranks| {
            let share = shares[ranks.rank()];
            let (mut own, mut all) = (segmentation(), AcrossRanks::new(segmentation(), ranks));
            let mut scores = Vec::new();
            // Scores in between change nothing.
            for number in 0..4 {
                update(&mut own, number, share);
                update(&mut all, number, share);
                scores = all.compute().unwrap();
            }
            let (own, state) = (own.state(), all.state());
            assert!(own.iter().all(|(name, tensor)| tensor.equal(&state[name])), "this rank's own state");
            assert_eq!(all.columns().unwrap(), ["loss", "accuracy", "mean_iou"]);
            all.reset();
            let nothing = all.compute().unwrap();
            assert_eq!(nothing.iter().find(|(name, _)| name == "pixels").map(|(_, value)| *value), Some(0.0));
            scores
        });
        for scores in &found {
            assert!(close(scores, &expected), "{scores:?}, one process {expected:?}");
            assert!(scores[0].1.to_bits() == found[0][0].1.to_bits(), "the same on all ranks");
        }
    }
}

#[test]
fn a_rank_whose_metric_differs_is_an_error_and_the_own_state_stays() {
    together_owned(2, |ranks| {
        let classes = ["a", "b", "c", "d"].map(String::from);
        let own = classes[..3 + ranks.rank()].to_vec();
        let mut metric = AcrossRanks::new(Segmentation::new(own, Device::Cpu).unwrap(), ranks);
        if metric.columns().unwrap().len() == 3 && metric.state()["counts"].numel() == 10 {
            update(&mut metric, 0, [0, 7]);
        }
        let before = metric.state()["counts"].copy();
        assert!(metric.compute().is_err());
        assert!(metric.state()["counts"].equal(&before));
    });
}

#[test]
fn the_weight_of_a_loss_is_that_of_all_ranks_and_a_loss_of_ones_own_is_refused() {
    let weights = together_owned(3, |ranks| {
        let rows = [[0, 2], [2, 0], [2, 5]][ranks.rank()];
        let [logits, targets] = step(1).map(|whole| whole.narrow(0, rows[0], rows[1]));
        let (outputs, batch) = (Outputs::from(logits), Batch::new(targets.shallow_clone(), targets, Vec::new()));
        let loss = AcrossRanks::new(loss::Config::default().build(Device::Cpu).unwrap(), ranks);
        loss.weight(&outputs, &batch).unwrap().double_value(&[])
    });
    let valid = step(1)[1].ne(IGNORE_INDEX).sum(Kind::Int64).double_value(&[]);
    assert_eq!(weights, [valid; 3]);

    let mean = |outputs: &Tensor, _: &Tensor| -> Result<Tensor, BoxError> { Ok(outputs.mean(Kind::Float)) };
    let found = |ranks: Arc<dyn Ranks>| {
        let [logits, targets] = step(1);
        let batch = Batch::new(targets.shallow_clone(), targets, Vec::new());
        let loss = AcrossRanks::new(mean, ranks).loss(&logits.into(), &batch);
        loss.map(|loss| loss.double_value(&[])).map_err(|error| error.to_string())
    };
    for error in together_owned(2, found) {
        let error = error.unwrap_err();
        assert!(error.contains("Loss::across") && error.contains("arithmetic"), "{error}");
    }
    // A group of one sums nothing.
    assert_eq!(found(Arc::new(Alone::default())), Ok(step(1)[0].mean(Kind::Float).double_value(&[])));
}
