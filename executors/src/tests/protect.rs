//! Batches that are not finite, and parts that panic, in a loop of somebody else's parts.

use super::*;
use crate::Trainer;
use contract::{Event, Loss, Metric, Model, Outputs, Progress, Scores};
use loss::CrossEntropy;

/// The first batch of the second epoch is NaN.
fn poisoned() -> Images {
    Images {
        spoil: |at, batch| {
            Ok(if at == (1, 0) {
                let inputs = batch.inputs.full_like(f64::NAN);
                with_inputs(batch, inputs)
            } else {
                batch
            })
        },
        ..Images::new(&[2, 2])
    }
}

/// Trains three epochs; the scores of each, and the running statistics.
fn trained(input: &Images, protected: bool) -> (Vec<Scores>, StateDict) {
    let (store, model) = network();
    let (mut optimizer, mut metric, loss_fn) = (optimizer(&store, 1), segmentation(), CrossEntropy::default());
    let trainer = Trainer::new(&model, input, &loss_fn, &mut optimizer, &mut metric, 3);
    let mut trainer = if protected { trainer.protect("model", &store) } else { trainer };
    let epochs = trainer.train(Progress::default()).filter_map(|event| match event.unwrap() {
        Event::Epoch { scores, .. } => Some(scores),
        Event::Step { .. } => None,
    });
    let scores = epochs.collect();
    let statistics = copied(&store).into_iter().filter(|(name, _)| name.contains("running")).collect();
    (scores, statistics)
}

fn all_finite(state: &StateDict) -> bool {
    !state.is_empty() && state.values().all(|tensor| tensor.isfinite().all().int64_value(&[]) == 1)
}

#[test]
fn a_batch_that_is_not_finite_spoils_neither_statistics_nor_scores() {
    let (scores, statistics) = trained(&poisoned(), true);
    assert!(all_finite(&statistics));
    assert!(scores.iter().flatten().all(|(_, score)| score.is_finite()), "{scores:?}");
    let valid = |index| poisoned().batch(1, index).targets.ne(contract::IGNORE_INDEX).sum(Kind::Int64).int64_value(&[]);
    assert_eq!(scores[1].last(), Some(&("pixels".into(), valid(1) as f64)), "the other batch alone");

    let (_, statistics) = trained(&poisoned(), false);
    assert!(!all_finite(&statistics), "a useless case");
}

#[test]
fn protection_changes_nothing_where_all_is_finite() {
    let (with, without) = (trained(&Images::new(&[2, 2]), true), trained(&Images::new(&[2, 2]), false));
    assert_eq!(with.0, without.0);
    assert_same(&with.1, &without.1);
}

#[test]
fn what_a_forward_pass_changes_is_put_back_after_an_error() {
    let (store, model) = network();
    let (mut optimizer, mut metric) = (optimizer(&store, 1), segmentation());
    let calls = Mutex::new(0);
    let loss_fn = |outputs: &Tensor, targets: &Tensor| -> Result<Tensor, BoxError> {
        let mut calls = calls.lock().unwrap();
        *calls += 1;
        // From libtorch's generator, as dropout would.
        let _ = Tensor::rand([7], (Kind::Float, Device::Cpu));
        let loss = outputs.cross_entropy_loss::<Tensor>(targets, None, tch::Reduction::Mean, 255, 0.0);
        if *calls > 1 { Err("out of breath".into()) } else { Ok(loss) }
    };
    let input = Images::new(&[2, 2]);
    let mut trainer = Trainer::new(&model, &input, &loss_fn, &mut optimizer, &mut metric, 1).protect("model", &store);
    let mut training = trainer.train(Progress::default());
    training.next().unwrap().unwrap();
    let before = copied(&store);
    training.next().unwrap().unwrap_err();
    assert_same(&before, &copied(&store));
}

/// A part that panics.
struct Panics<'a, T: ?Sized>(&'a mut T);

impl<T: Stateful + ?Sized> Stateful for Panics<'_, T> {
    fn state(&self) -> StateDict {
        self.0.state()
    }

    fn load_state(&mut self, state: &StateDict) -> Result<(), contract::StateError> {
        self.0.load_state(state)
    }
}

impl Metric for Panics<'_, Segmentation> {
    fn reset(&mut self) {
        self.0.reset();
    }

    fn update(&mut self, _: &Tensor, outputs: &Outputs, _: &Batch) -> Result<(), BoxError> {
        let _ = outputs.prediction.reshape([7]);
        Ok(())
    }

    fn compute(&self) -> Result<Scores, BoxError> {
        self.0.compute()
    }
}

#[test]
fn a_loss_and_a_metric_that_panic_are_errors_in_one_line() {
    let (store, model) = network();
    let (mut optimizer, mut metric) = (optimizer(&store, 1), segmentation());
    let input = Images::new(&[1]);
    let loss_fn = |outputs: &Tensor, _: &Tensor| -> Result<Tensor, BoxError> { Ok(outputs.reshape([7])) };
    let mut trainer = Trainer::new(&model, &input, &loss_fn, &mut optimizer, &mut metric, 1);
    let said = trainer.train(Progress::default()).next().unwrap().unwrap_err().to_string();
    let expected = "training, epoch 1, batch 1 (0.0.0): the loss function failed: libtorch: shape '[7]' is invalid";
    assert!(said.starts_with(expected) && !said.contains('\n'), "{said}");

    let (loss_fn, mut panics) = (CrossEntropy::default(), Panics(&mut metric));
    let mut trainer = Trainer::new(&model, &input, &loss_fn, &mut optimizer, &mut panics, 1);
    let said = trainer.train(Progress::default()).next().unwrap().unwrap_err().to_string();
    let expected = "training, epoch 1, batch 1 (0.0.0): the metric failed: libtorch: shape '[7]' is invalid";
    assert!(said.starts_with(expected) && !said.contains('\n'), "{said}");
}

/// A network with an auxiliary head, that is given what an input added.
struct TwoHeads(nn::SequentialT);

impl Model for TwoHeads {
    fn outputs(&self, batch: &Batch, train: bool) -> Outputs {
        let weighed = &batch.inputs * &batch.extra["weights"];
        let prediction = self.0.forward_t(&weighed, train);
        let auxiliary = vec![prediction.detach() * 2.0];
        Outputs::new(prediction, auxiliary)
    }
}

/// A loss of both heads and of what the input added.
struct OfBoth;

impl Loss for OfBoth {
    fn loss(&self, outputs: &Outputs, batch: &Batch) -> Result<Tensor, BoxError> {
        assert_eq!(outputs.auxiliary.len(), 1);
        let main = CrossEntropy::default().loss(outputs, batch)?;
        Ok(main * batch.extra["weights"].mean(Kind::Float))
    }

    fn weight(&self, outputs: &Outputs, batch: &Batch) -> Result<Tensor, BoxError> {
        CrossEntropy::default().weight(outputs, batch)
    }
}

#[test]
fn model_and_loss_are_given_all_of_the_batch() {
    let (store, model) = network();
    let model = TwoHeads(model);
    let (mut optimizer, mut metric) = (optimizer(&store, 2), segmentation());
    let input = Images {
        spoil: |_, mut batch| {
            batch.extra.insert("weights".into(), batch.inputs.ones_like() * 0.5);
            Ok(batch)
        },
        ..Images::new(&[2, 1])
    };
    let mut trainer = Trainer::new(&model, &input, &OfBoth, &mut optimizer, &mut metric, 1);
    let events: Vec<Event> = trainer.train(Progress::default()).map(Result::unwrap).collect();
    assert!(matches!(&events[..], [Event::Step { .. }, Event::Step { update: Some(_), .. }, Event::Epoch { .. }]));
}
