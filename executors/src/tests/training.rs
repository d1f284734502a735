//! Events in order, steps that learn, and training that resumes where it was.

use super::*;
use crate::Trainer;
use contract::{Event, Progress, Scores};
use loss::CrossEntropy;

/// The comparable part of an event: the progress, the names of a step, and whether there was an update.
#[derive(Debug, PartialEq)]
enum Seen {
    Step(Progress, Vec<String>, bool),
    Epoch(Progress, bool),
}

/// The parts of a training, so that one can be interrupted and resumed by another.
struct Parts {
    store: VarStore,
    model: nn::SequentialT,
    optimizer: optim::Optim,
    metric: Segmentation,
}

impl Parts {
    fn new(accumulate: u64) -> Self {
        let (store, model) = network();
        Self { optimizer: optimizer(&store, accumulate), store, model, metric: segmentation() }
    }

    /// Trains from `from` for at most `events` events. Returns the progress after them and the scores of the finished
    /// epochs.
    fn train(&mut self, input: &Images, epochs: u64, from: Progress, events: usize) -> (Progress, Vec<Scores>) {
        let loss_fn = CrossEntropy::default();
        let mut trainer = Trainer::new(&self.model, input, &loss_fn, &mut self.optimizer, &mut self.metric, epochs);
        let mut training = trainer.train(from);
        let epochs = training.by_ref().take(events).filter_map(|event| match event.unwrap() {
            Event::Epoch { scores, .. } => Some(scores),
            Event::Step { .. } => None,
        });
        let epochs = epochs.collect();
        (training.progress(), epochs)
    }

    fn states(&self) -> [StateDict; 3] {
        [copied(&self.store), copied(&self.optimizer), copied(&self.metric)]
    }

    fn load(&mut self, [store, optimizer, metric]: &[StateDict; 3]) {
        self.store.load_state(store).unwrap();
        self.optimizer.load_state(optimizer).unwrap();
        self.metric.load_state(metric).unwrap();
    }
}

fn seen(input: &Images, accumulate: u64, epochs: u64, from: Progress) -> Vec<Seen> {
    let mut parts = Parts::new(accumulate);
    let loss_fn = CrossEntropy::default();
    let mut trainer = Trainer::new(&parts.model, input, &loss_fn, &mut parts.optimizer, &mut parts.metric, epochs);
    let look = |event: Event| match event {
        Event::Step { progress, loss, update, names, .. } => {
            assert!(loss.size().is_empty() && !loss.requires_grad());
            Seen::Step(progress, names, update.is_some())
        }
        Event::Epoch { progress, update, .. } => Seen::Epoch(progress, update.is_some()),
    };
    trainer.train(from).map(|event| look(event.unwrap())).collect()
}

fn at(epoch: u64, batch: u64, step: u64, samples: u64) -> Progress {
    Progress { epoch, batch, step, samples }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| name.to_string()).collect()
}

#[test]
fn every_batch_is_a_step_and_every_epoch_ends() {
    let input = Images::new(&[2, 2, 1]);
    let expected = [
        Seen::Step(at(0, 1, 1, 2), names(&["0.0.0", "0.0.1"]), true),
        Seen::Step(at(0, 2, 2, 4), names(&["0.1.0", "0.1.1"]), true),
        Seen::Step(at(0, 3, 3, 5), names(&["0.2.0"]), true),
        Seen::Epoch(at(1, 0, 3, 5), false),
        Seen::Step(at(1, 1, 4, 7), names(&["1.0.0", "1.0.1"]), true),
        Seen::Step(at(1, 2, 5, 9), names(&["1.1.0", "1.1.1"]), true),
        Seen::Step(at(1, 3, 6, 10), names(&["1.2.0"]), true),
        Seen::Epoch(at(2, 0, 6, 10), false),
    ];
    assert_eq!(seen(&input, 1, 2, Progress::default()), expected);
    assert_eq!(*input.asked.lock().unwrap(), [(0, 0), (1, 0)]);
}

#[test]
fn what_accumulation_leaves_over_is_applied_when_the_epoch_ends() {
    let expected = [
        Seen::Step(at(0, 1, 1, 1), names(&["0.0.0"]), false),
        Seen::Step(at(0, 2, 2, 2), names(&["0.1.0"]), true),
        Seen::Step(at(0, 3, 3, 3), names(&["0.2.0"]), false),
        Seen::Epoch(at(1, 0, 3, 3), true),
    ];
    assert_eq!(seen(&Images::new(&[1, 1, 1]), 2, 1, Progress::default()), expected);
}

#[test]
fn epochs_that_are_done_count() {
    let input = Images::new(&[1]);
    let expected = [Seen::Step(at(2, 1, 3, 3), names(&["2.0.0"]), true), Seen::Epoch(at(3, 0, 3, 3), false)];
    assert_eq!(seen(&input, 1, 3, at(2, 0, 2, 2)), expected);
    for epochs in [0, 1, 2] {
        assert_eq!(seen(&input, 1, epochs, at(2, 0, 2, 2)), []);
    }
    assert_eq!(seen(&input, 1, 0, Progress::default()), []);
}

#[test]
fn only_the_rest_of_an_epoch_is_asked_for() {
    let input = Images::new(&[1, 1, 1]);
    let expected = [Seen::Step(at(1, 3, 6, 6), names(&["1.2.0"]), true), Seen::Epoch(at(2, 0, 6, 6), false)];
    assert_eq!(seen(&input, 1, 2, at(1, 2, 5, 5)), expected);
    assert_eq!(*input.asked.lock().unwrap(), [(1, 2)]);
}

#[test]
fn training_taken_up_anywhere_ends_as_if_it_had_never_been_put_down() {
    let input = Images::new(&[2, 2, 1]);
    for accumulate in [1, 2] {
        let mut whole = Parts::new(accumulate);
        let (end, whole_scores) = whole.train(&input, 2, Progress::default(), usize::MAX);
        assert_eq!(end, at(2, 0, 6, 10));
        for events in 0..=8 {
            let (mut first, mut second) = (Parts::new(accumulate), Parts::new(accumulate));
            let (progress, mut scores) = first.train(&input, 2, Progress::default(), events);
            // The other has its own past, none of which may remain.
            second.train(&input, 5, at(4, 0, 12, 20), 2);
            second.load(&first.states());
            let (end, rest) = second.train(&input, 2, progress, usize::MAX);
            assert_eq!(end, at(2, 0, 6, 10));
            scores.extend(rest);
            assert_eq!(scores, whole_scores, "put down after {events} events");
            for (left, right) in second.states().iter().zip(&whole.states()) {
                assert_same(left, right);
            }
        }
    }
}

#[test]
fn the_scores_of_an_epoch_are_of_that_epoch_alone() {
    let input = Images::new(&[2, 1]);
    let valid = |epoch| (0..2).map(|i| input.batch(epoch, i).targets.ne(255).sum(Kind::Int64).int64_value(&[])).sum();
    let expected: [i64; 2] = [valid(0), valid(1)];
    let (_, scores) = Parts::new(1).train(&input, 2, Progress::default(), usize::MAX);
    let pixels: Vec<i64> = scores.iter().map(|scores| scores.last().unwrap().1 as i64).collect();
    assert_eq!(pixels, expected);
}

#[test]
fn training_goes_on_only_while_it_is_asked_to() {
    let mut parts = Parts::new(1);
    let before = parts.states();
    let (progress, _) = parts.train(&Images::new(&[1, 1]), 2, Progress::default(), 0);
    assert_eq!(progress, Progress::default());
    before.iter().zip(&parts.states()).for_each(|(left, right)| assert_same(left, right));
}

#[test]
fn a_step_gives_loss_and_predictions_and_changes_the_weights() {
    let input = Images::new(&[2]);
    let mut parts = Parts::new(1);
    let before = copied(&parts.store);
    let loss_fn = CrossEntropy::default();
    let mut trainer = Trainer::new(&parts.model, &input, &loss_fn, &mut parts.optimizer, &mut parts.metric, 1);
    let batch = input.batch(0, 0);
    let (first, outputs) = trainer.train_step(&batch).unwrap();
    let predictions = outputs.prediction;
    assert_eq!(predictions.size(), [2, 2, 4, 4]);
    assert!(!first.requires_grad() && !predictions.requires_grad());
    let expected = predictions.cross_entropy_loss::<Tensor>(&batch.targets, None, tch::Reduction::Mean, 255, 0.0);
    assert!((&first - expected).abs().double_value(&[]) < 1e-6);

    let last = (0..50).map(|_| trainer.train_step(&batch).unwrap().0).last().unwrap();
    assert!(last.double_value(&[]) < 0.5 * first.double_value(&[]), "from {first} to {last}: nothing was learnt");
    let after = parts.store.state();
    let still: Vec<_> = after.iter().filter(|(name, tensor)| tensor.equal(&before[*name])).collect();
    assert!(still.is_empty(), "{still:?} did not change");
}

#[test]
fn nothing_is_read_from_the_device_inside_a_step() {
    let (store, model) = network();
    let rule = optim::Rule::Sgd(optim::Sgd { momentum: 0.9, nesterov: true });
    for accumulate in [1, 2] {
        let config = optim::Config { rule, clip_norm: Some(0.1), accumulate, ..optim::Config::default() };
        // (Adam's kernel for the CPU, and that one only, reads its step count.)
        let length = optim::Length { updates_per_epoch: 3, epochs: 1 };
        let mut optimizer = config.build(contract::parameters(&store), optim::Schedule::default(), length).unwrap();
        let (mut metric, input) = (segmentation(), Images::new(&[2, 3, 1]));
        let class_weights = Some(vec![1.0, 2.0].into());
        let loss_fn = loss::Config { dice: 0.5, class_weights, ..loss::Config::default() };
        let loss_fn = loss_fn.build(Device::Cpu).unwrap();
        let trainer = Trainer::new(&model, &input, &loss_fn, &mut optimizer, &mut metric, 1);
        let mut trainer = trainer.protect("model", &store);
        let mut training = trainer.train(Progress::default());

        let reads = torch_ext::Reads::watch().unwrap();
        for event in training.by_ref().take(3) {
            assert!(matches!(event.unwrap(), Event::Step { .. }));
        }
        let updates = if accumulate == 1 { 3 } else { 1 };
        assert_eq!(
            reads.count(),
            updates,
            "kernels for the CPU, and those only, read the learning rate once an update"
        );
        assert!(matches!(training.next(), Some(Ok(Event::Epoch { .. }))));
        assert!(reads.count() > updates, "an epoch's scores are read, so the count counts");
    }
}
