//! Captured steps are those made operator by operator, to the bit; and what cannot be captured is not.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

mod check;
mod support;
mod wrong;

use contract::{
    Agree, Batch, Batches, BoxError, Capture, CaptureError, Input, Model, Outputs, Progress, Share, Stage, Step,
    TorchError,
};
use executors::Trainer;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use support::{Counted, Images, Odd, Oddity, Parts, Seen, Training, alone, assert_same, copied};
use tch::Tensor;
use torch_ext::FakeCapture;

fn rules() -> [optim::Rule; 4] {
    let rectified = optim::RAdam { beta2: 0.9, ..optim::RAdam::default() };
    [
        optim::Rule::Adam(optim::Adam::default()),
        optim::Rule::Sgd(optim::Sgd { momentum: 0.9, nesterov: true }),
        optim::Rule::RAdam(rectified),
        optim::Rule::Lion(optim::Lion::default()),
    ]
}

fn is_rejected(seen: &Seen) -> bool {
    matches!(seen, Seen::Step(_, _, Some([.., (1..)]), _))
}

#[test]
fn two_hundred_captured_steps_are_eager_ones_to_the_bit() {
    let _alone = alone();
    for (rule, scaled) in rules().into_iter().zip([false, true, true, false]) {
        let mut training = Training { scaled, epochs: 40, ..Training::default() };
        training.config.rule = rule;
        let mut capture = Counted::new();
        let trained = training.compare(&mut capture);
        assert_eq!(trained.seen.len(), 240);
        assert_eq!(trained.seen.iter().filter(|seen| is_rejected(seen)).count(), 1, "the planted NaN");
        // The first batch shows the form, and three warm up. 40 batches are the last ones of their epochs.
        assert_eq!((capture.captures, capture.capture.replays()), (1, 200 - 40 - 1 - 3 - 1));
        let said =
            "Steps are captured for inputs [2, 1, 4, 4]; batches of another form are trained on operator by operator";
        let checked = "From here on steps are replayed from a capture, whose first 3 were those made operator by \
                       operator, to the bit";
        assert_eq!(trained.remarks, [said, checked]);
        assert!(trained.saved.states.contains_key("average"));
    }
}

#[test]
fn a_captured_training_resumes_anywhere_to_the_bit() {
    let _alone = alone();
    let whole = Training::default().run(None);
    // In the warm-up, at the capture, among replays, before and after a last batch.
    for events in [2, 4, 5, 30, 40, 41] {
        let first = Training { events, ..Training::default() }.run(Some(&mut Counted::new()));
        let mut capture = Counted::new();
        let rest = Training { from: Some(&first.saved), ..Training::default() }.run(Some(&mut capture));
        assert!(capture.capture.replays() > 10);
        assert_eq!([first.seen, rest.seen].concat(), whole.seen);
        assert_same(&rest.saved.states, &whole.saved.states);
    }
}

#[test]
fn a_state_loaded_between_replays_counts() {
    let _alone = alone();
    let saved = Training { events: 30, ..Training::default() }.run(None).saved;
    let ends = [false, true].map(|captured| {
        let (input, training) = (Images(vec![2, 2, 2, 2, 1]), Training::default());
        let mut parts = Parts::new(&training.config, 5, false);
        let (loss_fn, mut capture) = (loss::CrossEntropy::default(), Counted::new());
        let trainer = Trainer::new(&parts.model, &input, &loss_fn, &mut parts.optimizer, &mut parts.metric, 40);
        let mut trainer = trainer.protect("model", &parts.store);
        if captured {
            trainer = trainer.captured(&mut capture);
        }
        let mut training = trainer.train(Progress::default());
        training.by_ref().take(50).for_each(|event| drop(event.unwrap()));
        // As after a batch that was not finite: the weights of a checkpoint, and the data goes on.
        training.trainer.restore_learnt(&saved.states).unwrap();
        training.by_ref().take(50).for_each(|event| drop(event.unwrap()));
        drop(training);
        let states = copied(trainer.states());
        drop(trainer);
        assert_eq!(capture.capture.replays() > 60, captured);
        states
    });
    assert_same(&ends[1], &ends[0]);
}

/// Batches of which each is a share of one of all ranks, the fourth of an epoch another one than the rest.
struct Shares(Images);

const SHARES: [Share; 2] = [Share { first: 2, of: 6 }, Share { first: 4, of: 6 }];

impl Input for Shares {
    fn epoch(&self, epoch: u64, skip: u64) -> Batches<'_> {
        Box::new((skip..self.len()).map(move |index| {
            let mut batch = self.0.batch(epoch, index);
            batch.share = Some(SHARES[usize::from(index == 3)]);
            Ok(batch)
        }))
    }

    fn len(&self) -> u64 {
        self.0.len()
    }
}

/// A network that notes the shares it meets.
struct Noting<'m>(&'m dyn Model, Mutex<Vec<Option<Share>>>);

impl Model for Noting<'_> {
    fn outputs(&self, batch: &Batch, train: bool) -> Outputs {
        self.1.lock().unwrap().push(batch.share);
        self.0.outputs(batch, train)
    }
}

#[test]
fn a_capture_is_of_one_share() {
    let _alone = alone();
    let input = Shares(Images(vec![2; 5]));
    let mut parts = Parts::new(&Training::default().config, 5, false);
    let (loss_fn, mut capture) = (loss::CrossEntropy::default(), Counted::new());
    let model = Noting(&parts.model, Mutex::default());
    let trainer = Trainer::new(&model, &input, &loss_fn, &mut parts.optimizer, &mut parts.metric, 6);
    let mut trainer = trainer.protect("model", &parts.store).captured(&mut capture);
    let mut training = trainer.train(Progress::default());
    training.by_ref().for_each(|event| drop(event.unwrap()));
    assert_eq!(training.progress().samples, 30 * 6);
    drop(training);
    drop(trainer);
    let met = |share| model.1.lock().unwrap().iter().filter(|met| **met == Some(share)).count();
    assert_eq!((met(SHARES[1]), met(SHARES[0])), (6, model.1.lock().unwrap().len() - 6));
    assert_eq!((capture.captures, capture.capture.replays()), (1, 24 - 1 - 3 - 1));
}

#[test]
fn accumulated_gradients_are_not_captured() {
    let _alone = alone();
    let mut training = Training::default();
    training.config.accumulate = 2;
    let mut capture = Counted::new();
    let trained = training.compare(&mut capture);
    assert_eq!(
        trained.remarks,
        ["A step whose gradients are accumulated is made operator by operator, and not captured"]
    );
    assert_eq!(capture.captures + capture.capture.replays(), 0);
}

#[test]
fn parameters_that_thaw_make_another_capture() {
    let _alone = alone();
    let mut training = Training::default();
    let group = |parameters: &str, frozen_epochs| optim::GroupConfig {
        parameters: parameters.into(),
        factor: 0.3,
        frozen_epochs,
    };
    training.config.groups = vec![group("a.*", 4), group("norm.*", 6)];
    let mut capture = Counted::new();
    let trained = training.compare(&mut capture);
    // The planted NaN is in the third step of the second capture, which is checked.
    assert_eq!(trained.seen.iter().filter(|seen| is_rejected(seen)).count(), 1);
    assert_eq!(capture.captures, 3);
    assert!(capture.capture.replays() > 30);
    let said = "Other parameters are trained from here on, so the step is captured anew";
    assert_eq!(trained.remarks.iter().filter(|remark| *remark == said).count(), 1, "{:?}", trained.remarks);
}

#[test]
fn a_step_whose_gradients_are_wanted_is_not_captured() {
    let _alone = alone();
    let asked = AtomicU64::new(0);
    let ask = |events: usize, gradients: &optim::Gradients| {
        asked.fetch_add(gradients.take().len() as u64, Relaxed);
        if events.is_multiple_of(24) {
            gradients.ask();
        }
    };
    let training = Training { before: &ask, ..Training::default() };
    let mut capture = Counted::new();
    let trained = training.compare(&mut capture);
    assert_eq!(asked.into_inner(), 2 * 3 * 6, "six tensors, three times, in both trainings");
    let said = "A step whose histograms of its gradients are wanted is made operator by operator, and not captured";
    assert_eq!(trained.remarks.iter().filter(|remark| *remark == said).count(), 1, "{:?}", trained.remarks);
    assert!(capture.captures == 1 && capture.capture.replays() > 30);
}

/// A capture that can be of nothing.
struct Refuses {
    capture: FakeCapture,
    left: u32,
}

impl Capture for Refuses {
    fn step_if_all(&mut self, step: &mut Step<'_>, all: &mut Agree<'_>) -> Result<Stage, CaptureError> {
        if self.left > 0 {
            self.left -= 1;
            return self.capture.step_if_all(step, all);
        }
        Err(CaptureError::Capture("operation not permitted when stream is capturing".into()))
    }

    fn outputs(&self) -> &[Tensor] {
        self.capture.outputs()
    }

    fn reset(&mut self) -> Result<(), TorchError> {
        Ok(())
    }
}

#[test]
fn a_capture_that_fails_is_said_once_and_all_steps_are_eager() {
    let _alone = alone();
    let mut capture = Refuses { capture: FakeCapture::new(99).unwrap(), left: 3 };
    let trained = Training::default().compare(&mut capture);
    let said =
        "No step is captured, all are made operator by operator: operation not permitted when stream is capturing";
    assert_eq!(trained.remarks.len(), 2, "{:?}", trained.remarks);
    assert_eq!(trained.remarks[1], said);
}

#[test]
fn a_step_that_fails_while_it_is_captured_fails_as_an_eager_one() {
    let _alone = alone();
    // As the first, in the warm-up, at the capture, when replayed, and on a batch of another form.
    for (fails_at, place) in
        [(0, "1, batch 1"), (2, "1, batch 3"), (100, "2, batch 1"), (901, "10, batch 2"), (904, "10, batch 5")]
    {
        let trained = Training { fails_at, ..Training::default() }.compare(&mut Counted::new());
        let error = trained.error.unwrap();
        assert!(error.starts_with(&format!("training, epoch {place} (")), "{error}");
        assert!(error.ends_with("the metric failed: no room for it"), "{error}");
    }
}

#[test]
fn an_optimizer_that_cannot_be_replayed_is_not_captured() {
    let _alone = alone();
    let Parts { store, model, optimizer, mut metric } = Parts::new(&Training::default().config, 1, false);
    let (input, loss_fn) = (Images(vec![2]), loss::CrossEntropy::default());
    let (mut optimizer, mut capture) = (Odd(optimizer, Oddity::Whole), Counted::new());
    let trainer = Trainer::new(&model, &input, &loss_fn, &mut optimizer, &mut metric, 9);
    let mut trainer = trainer.protect("model", &store).captured(&mut capture);
    assert_eq!(trainer.train(Progress::default()).map(Result::unwrap).count(), 18);
    assert_eq!(trainer.remarks(), ["No step is captured: the optimizer has no update that can be replayed"]);
    assert_eq!(trainer.remarks(), [""; 0]);
    assert_eq!(capture.captures, 0);
}

/// Trains with a loss that is multiplied by a number of its calls so far, which a replay would not see. Returns the
/// number of steps, the error and the warning.
fn changing(weight: fn(u64) -> f64) -> (usize, Option<executors::Error>, Option<String>) {
    let Parts { store, model, mut optimizer, mut metric } = Parts::new(&Training::default().config, 1, false);
    let calls = AtomicU64::new(0);
    let loss_fn = |prediction: &Tensor, targets: &Tensor| -> Result<Tensor, BoxError> {
        let loss = prediction.cross_entropy_loss::<Tensor>(targets, None, tch::Reduction::Mean, 255, 0.0);
        Ok(loss * weight(calls.fetch_add(1, Relaxed)))
    };
    let (input, mut capture) = (Images(vec![2]), Counted::new());
    let trainer = Trainer::new(&model, &input, &loss_fn, &mut optimizer, &mut metric, 9);
    let mut trainer = trainer.protect("model", &store).captured(&mut capture);
    let (events, errors): (Vec<_>, Vec<_>) = trainer.train(Progress::default()).partition(Result::is_ok);
    let error = errors.into_iter().find_map(Result::err);
    assert!(error.is_none() || !trainer.optimizer.is_unchanged());
    (events.len(), error, trainer.warning())
}

#[test]
fn a_loss_that_changes_on_the_host_is_found_by_the_check() {
    let _alone = alone();
    let (events, error, warning) = changing(|calls| 1.0 + calls as f64);
    assert!(events == 18 && error.is_none(), "{error:?}");
    let said = "training, epoch 5, batch 1: a replayed step differs from the same step made operator by operator in \
                the loss (";
    assert!(warning.as_ref().is_some_and(|warning| warning.starts_with(said)), "{warning:?}");
}

#[test]
fn a_loss_that_changes_on_the_host_later_is_found_by_the_fake() {
    let _alone = alone();
    // One step shows the form, three warm up, and three are made twice.
    let (_, error, warning) = changing(|calls| if calls < 10 { 1.0 } else { 2.0 });
    let error = error.unwrap();
    assert!(matches!(error, executors::Error::Replay { .. }) && warning.is_none(), "{error} {warning:?}");
    let said = "training, epoch 8, batch 1 (7.0.0, 7.0.1): a replay would not repeat the step: operator ";
    assert!(error.to_string().starts_with(said), "{error}");
}
