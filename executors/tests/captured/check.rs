//! Replays are checked against steps made operator by operator before any of them counts.

use crate::support::{Counted, Images, Odd, Oddity, Parts, Training, alone, assert_same, copied};
use crate::wrong::Wrong;
use contract::{BoxError, Optimizer, Progress, StateDict, Stateful};
use executors::Trainer;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tch::Tensor;

#[test]
fn a_wrong_replay_is_found_and_named_once_and_no_bit_of_it_is_kept() {
    let _alone = alone();
    let cases = [
        (Wrong::LearningRate, "in model a.bias (by up to "),
        (Wrong::Metric, "in metric "),
        (Wrong::Steps, "in optimizer step (by up to 1.000e0). All"),
        (Wrong::Dropout, "the random numbers drawn"),
        (Wrong::Loss, "in the loss ("),
        (Wrong::Rejection, "in the rejection (1 instead of 0). All"),
    ];
    for (wrong, named) in cases {
        // In the capture's own step, whose numbers it may have kept, and in later ones.
        for (from, place) in [(0, "epoch 2, batch 1"), (1, "epoch 2, batch 2"), (2, "epoch 2, batch 3")] {
            let training = Training { wrong: Some((wrong, from)), epochs: 3, ..Training::default() };
            let mut capture = Counted::new();
            let trained = training.compare(&mut capture);
            let warning = &trained.warnings[0];
            let said =
                format!("training, {place}: a replayed step differs from the same step made operator by operator");
            assert!(warning.starts_with(&said) && warning.contains(named), "{wrong:?} {from}: {warning}");
            assert!(
                warning.ends_with(
                    ". All steps are made operator by operator from here on; nothing of the replay was kept"
                )
            );
            assert_eq!((capture.captures, capture.capture.replays()), (1, u64::from(from)), "none after it");
            let replayed = trained.remarks.iter().filter(|remark| remark.contains("From here on"));
            assert_eq!(replayed.count(), 0, "{:?}", trained.remarks);
        }
    }
}

/// Trains for some epochs, with parts as they are made here. Returns the weights and what was said.
fn trained(
    capture: Option<&mut Counted>,
    protected: bool,
    wrapped: impl FnOnce(optim::Optim) -> Box<dyn Optimizer>,
    loss_fn: &dyn contract::Loss,
) -> (StateDict, Vec<String>) {
    let Parts { store, model, optimizer, mut metric } = Parts::new(&Training::default().config, 1, false);
    let (input, mut optimizer) = (Images(vec![2]), wrapped(optimizer));
    let mut trainer = Trainer::new(&model, &input, loss_fn, &mut *optimizer, &mut metric, 15);
    if protected {
        trainer = trainer.protect("model", &store);
    }
    if let Some(capture) = capture {
        trainer = trainer.captured(capture);
    }
    assert_eq!(trainer.train(Progress::default()).map(Result::unwrap).count(), 30);
    assert_eq!(trainer.warning(), None);
    let remarks = trainer.remarks();
    let states = copied([("model".to_owned(), Stateful::state(&store))].into());
    (states.into_values().next().unwrap(), remarks)
}

fn compare(
    protected: bool,
    wrapped: impl Fn(optim::Optim) -> Box<dyn Optimizer>,
    loss_fn: &dyn contract::Loss,
) -> (u64, Vec<String>) {
    let (eager, remarks) = trained(None, protected, &wrapped, loss_fn);
    assert_eq!(remarks, [""; 0]);
    let mut capture = Counted::new();
    let (captured, remarks) = trained(Some(&mut capture), protected, &wrapped, loss_fn);
    assert_same(&[("model".into(), captured)].into(), &[("model".into(), eager)].into());
    (capture.captures + capture.capture.replays(), remarks)
}

#[test]
fn no_step_is_replayed_without_the_memory_to_check_it() {
    let _alone = alone();
    let (replays, remarks) =
        compare(true, |optimizer| Box::new(Odd(optimizer, Oddity::Huge)), &loss::CrossEntropy::default());
    assert_eq!((replays, remarks.len()), (0, 1));
    let said = "No step is replayed, all are made operator by operator: a replay could not be checked: libtorch: ";
    assert!(remarks[0].starts_with(said) && remarks[0].contains("memory"), "{remarks:?}");
}

#[test]
fn a_step_that_fails_beside_a_capture_is_made_without_it() {
    let _alone = alone();
    let calls = AtomicU64::new(0);
    let loss_fn = |prediction: &Tensor, targets: &Tensor| -> Result<Tensor, BoxError> {
        // One step shows the form, three warm up, one is captured, and then made operator by operator.
        if calls.fetch_add(1, Relaxed) == 15 + 5 {
            return Err("out of memory".into());
        }
        Ok(prediction.cross_entropy_loss::<Tensor>(targets, None, tch::Reduction::Mean, 255, 0.0))
    };
    let (replays, remarks) = compare(true, |optimizer| Box::new(optimizer), &loss_fn);
    assert_eq!((replays, remarks.len()), (1, 1));
    let end = "a replay could not be checked: training, epoch 5, batch 1 (4.0.0, 4.0.1): the loss function failed: out \
               of memory";
    assert!(remarks[0].ends_with(end), "{remarks:?}");
}

#[test]
fn parameters_that_cannot_be_put_back_are_not_captured() {
    let _alone = alone();
    let (replays, remarks) = compare(false, |optimizer| Box::new(optimizer), &loss::CrossEntropy::default());
    let said = "No step is captured: a replay is not checked against a step made operator by operator unless all \
                parameters are protected by the trainer";
    assert_eq!((replays, &remarks[..]), (0, &[said.to_owned()][..]));
}
