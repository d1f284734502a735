//! Captured steps are those made operator by operator, to the bit; and what cannot be captured is not.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

use contract::{
    Batch, Batches, BoxError, Capture, CaptureError, Event, Input, KEPT_STEPS, Metric, Optimizer, Outputs, Progress,
    Scores, Stage, StateDict, StateError, Stateful, Step, TorchError, Update,
};
use executors::Trainer;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tch::nn::{self, VarStore};
use tch::{Device, Kind, Tensor};
use testing::noise;
use torch_ext::FakeCapture;

/// Steps made operator by operator before the capture.
const WARM_UP: u32 = 3;

/// Makes the tests of this file run one after another: a process has one watch of operators and one generator.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Epochs of these batch sizes. The second batch of the sixth epoch is NaN.
struct Images(Vec<i64>);

impl Images {
    fn batch(&self, epoch: u64, index: u64) -> Batch {
        let (n, seed) = (self.0[index as usize], 1000 * epoch + 10 * index);
        let inputs = noise(&[n, 1, 4, 4], seed);
        let targets = inputs.squeeze_dim(1).gt(0.2).to_kind(Kind::Int64);
        let inputs = if (epoch, index) == (5, 1) { inputs.full_like(f64::NAN) } else { inputs };
        let mut batch = Batch::new(inputs, targets, (0..n).map(|at| format!("{epoch}.{index}.{at}")).collect());
        batch.extra.insert("seen".into(), Tensor::full([n], (epoch * 100 + index) as i64, (Kind::Int64, Device::Cpu)));
        batch
    }
}

impl Input for Images {
    fn epoch(&self, epoch: u64, skip: u64) -> Batches<'_> {
        Box::new((skip..self.len()).map(move |index| Ok(self.batch(epoch, index))))
    }

    fn len(&self) -> u64 {
        self.0.len() as u64
    }
}

/// What one event says, as bits.
#[derive(Debug, Clone, PartialEq)]
enum Seen {
    Step(Progress, u64, Option<[u64; 3]>, Vec<String>),
    Epoch(Progress, Vec<(String, u64)>),
}

fn bits(scalar: &Tensor) -> u64 {
    assert!(scalar.size().is_empty() && !scalar.requires_grad());
    scalar.double_value(&[]).to_bits()
}

fn seen(event: &Event) -> Seen {
    let told = |update: &Update| [update.learning_rate.to_bits(), bits(&update.gradient_norm), bits(&update.rejected)];
    match event {
        Event::Step { progress, loss, update, names, .. } => {
            Seen::Step(*progress, bits(loss), update.as_ref().map(told), names.clone())
        }
        Event::Epoch { progress, scores, .. } => {
            let scores: &Scores = scores;
            Seen::Epoch(*progress, scores.iter().map(|(name, score)| (name.clone(), score.to_bits())).collect())
        }
    }
}

/// Network with BatchNorm and dropout, optimizer and metric.
struct Parts {
    store: VarStore,
    model: nn::SequentialT,
    optimizer: optim::Optim,
    metric: metric::Segmentation,
}

impl Parts {
    fn new(config: &optim::Config, batches: u64, scaled: bool) -> Self {
        let store = VarStore::new(Device::Cpu);
        let same = nn::ConvConfig { padding: 1, ..Default::default() };
        let model = nn::seq_t()
            .add(nn::conv2d(store.root() / "a", 1, 3, 3, same))
            .add(nn::batch_norm2d(store.root() / "norm", 3, Default::default()))
            .add_fn_t(|x, train| x.relu().dropout(0.3, train))
            .add(nn::conv2d(store.root() / "b", 3, 2, 1, Default::default()));
        {
            let _no_grad = tch::no_grad_guard();
            for (seed, mut value) in (0..).zip(Stateful::state(&store).into_values()) {
                value.copy_(&noise(&value.size(), seed).abs());
            }
        }
        let schedule = optim::Schedule { warmup: 7, decay: optim::Decay::Cosine { floor: 0.1 } };
        let length = optim::Length { updates_per_epoch: batches, epochs: 40 };
        let optimizer = config.build(contract::parameters(&store), schedule, length).unwrap();
        let optimizer = optimizer.averaging(Stateful::state(&store)).unwrap();
        let optimizer = if scaled { optimizer.scaling_the_loss().unwrap() } else { optimizer };
        let metric = metric::Segmentation::new(vec!["dark".into(), "bright".into()], Device::Cpu).unwrap();
        tch::manual_seed(3);
        Self { store, model, optimizer, metric }
    }
}

type States = BTreeMap<String, StateDict>;

fn copied(states: States) -> States {
    let copy = |state: StateDict| state.into_iter().map(|(name, tensor)| (name, tensor.copy())).collect();
    states.into_iter().map(|(name, state)| (name, copy(state))).collect()
}

fn assert_same(left: &States, right: &States) {
    assert!(left.keys().eq(right.keys()), "{:?} and {:?}", left.keys(), right.keys());
    for ((part, left), right) in left.iter().zip(right.values()) {
        assert!(left.keys().eq(right.keys()), "{part}: {:?} and {:?}", left.keys(), right.keys());
        for ((name, left), right) in left.iter().zip(right.values()) {
            assert!(left.equal(right), "{part} {name}: {left} and {right}");
        }
    }
}

/// Point at which a training was put down.
struct Saved {
    progress: Progress,
    states: States,
    generator: Tensor,
}

/// End of a training.
struct Trained {
    seen: Vec<Seen>,
    saved: Saved,
    remarks: Vec<String>,
    error: Option<String>,
}

/// A training, and changes of it.
struct Training<'t> {
    config: optim::Config,
    batches: Vec<i64>,
    scaled: bool,
    epochs: u64,
    /// Events after which it is put down.
    events: usize,
    from: Option<&'t Saved>,
    /// Called before each event, with the number of events so far.
    before: &'t dyn Fn(usize, &optim::Gradients),
    /// Batch from which on the metric fails.
    fails_at: i64,
}

impl Default for Training<'_> {
    fn default() -> Self {
        let config = optim::Config {
            learning_rate: 0.05,
            weight_decay: 0.01,
            clip_norm: Some(0.2),
            ema: Some(0.9),
            ..optim::Config::default()
        };
        let batches = vec![2, 2, 2, 2, 1];
        let (from, before, fails_at) = (None, &|_: usize, _: &_| {} as _, i64::MAX);
        Self { config, batches, scaled: false, epochs: 12, events: usize::MAX, from, before, fails_at }
    }
}

impl Training<'_> {
    /// Trains all epochs, or what is left of them. Reads the numbers of a step as late as they must be kept.
    fn run(&self, capture: Option<&mut dyn Capture>) -> Trained {
        let input = Images(self.batches.clone());
        let mut parts = Parts::new(&self.config, input.len(), self.scaled);
        let gradients = parts.optimizer.asked_gradients();
        let loss_fn = loss::CrossEntropy::default();
        let mut metric = Fails { metric: &mut parts.metric, at: self.fails_at };
        let trainer = Trainer::new(&parts.model, &input, &loss_fn, &mut parts.optimizer, &mut metric, self.epochs);
        let mut trainer = trainer.protect("model", &parts.store);
        if let Some(capture) = capture {
            trainer = trainer.captured(capture);
        }
        let mut from = Progress::default();
        if let Some(saved) = self.from {
            trainer.restore(&saved.states).unwrap();
            torch_ext::set_generator_state(Device::Cpu, &saved.generator).unwrap();
            from = saved.progress;
        }
        let mut training = trainer.train(from);
        let (mut events, mut seen, mut remarks, mut error) = (Vec::new(), Vec::new(), Vec::new(), None);
        while events.len() < self.events {
            (self.before)(events.len(), &gradients);
            match training.next() {
                None => break,
                Some(Err(failed)) => error = Some(failed.to_string()),
                Some(Ok(event)) => events.push(event),
            }
            remarks.extend(training.trainer.remarks());
            if events.len() > KEPT_STEPS as usize {
                seen.push(self::seen(&events[seen.len()]));
            }
        }
        seen.extend(events[seen.len()..].iter().map(self::seen));
        let progress = training.progress();
        let generator = torch_ext::generator_state(Device::Cpu).unwrap();
        let saved = Saved { progress, states: copied(trainer.states()), generator };
        Trained { seen, saved, remarks, error }
    }

    /// Trains with and without a capture, and compares everything.
    fn compare(&self, capture: &mut dyn Capture) -> Trained {
        let eager = self.run(None);
        let captured = self.run(Some(capture));
        assert_eq!(captured.seen.len(), eager.seen.len(), "{:?}", captured.error);
        for (captured, eager) in captured.seen.iter().zip(&eager.seen) {
            assert_eq!(captured, eager);
        }
        assert_same(&captured.saved.states, &eager.saved.states);
        assert!(captured.saved.generator.equal(&eager.saved.generator));
        assert_eq!(captured.saved.progress, eager.saved.progress);
        assert_eq!(captured.error, eager.error);
        assert_eq!(eager.remarks, [""; 0]);
        captured
    }
}

/// A metric that fails from a batch on.
struct Fails<'m> {
    metric: &'m mut metric::Segmentation,
    at: i64,
}

impl Metric for Fails<'_> {
    fn reset(&mut self) {
        self.metric.reset();
    }

    fn update(&mut self, loss: &Tensor, outputs: &Outputs, batch: &Batch) -> Result<(), BoxError> {
        self.metric.update(loss, outputs, batch)?;
        // Read from the name: a captured step must not read a tensor.
        let place: Vec<i64> = batch.names[0].split('.').map(|part| part.parse().unwrap()).collect();
        if place[0] * 100 + place[1] < self.at { Ok(()) } else { Err("no room for it".into()) }
    }

    fn compute(&self) -> Result<Scores, BoxError> {
        self.metric.compute()
    }
}

impl Stateful for Fails<'_> {
    fn state(&self) -> StateDict {
        self.metric.state()
    }

    fn load_state(&mut self, state: &StateDict) -> Result<(), StateError> {
        self.metric.load_state(state)
    }
}

/// A capture that counts the captures of another one.
struct Counted {
    capture: FakeCapture,
    captures: u64,
}

impl Counted {
    fn new() -> Self {
        Self { capture: FakeCapture::new(WARM_UP).unwrap(), captures: 0 }
    }
}

impl Capture for Counted {
    fn step(&mut self, step: &mut Step<'_>) -> Result<Stage, CaptureError> {
        let stage = self.capture.step(step)?;
        self.captures += u64::from(stage == Stage::Capture);
        Ok(stage)
    }

    fn outputs(&self) -> &[Tensor] {
        self.capture.outputs()
    }

    fn reset(&mut self) -> Result<(), TorchError> {
        self.capture.reset()
    }
}

fn rules() -> [optim::Rule; 2] {
    [optim::Rule::Adam(optim::Adam::default()), optim::Rule::Sgd(optim::Sgd { momentum: 0.9, nesterov: true })]
}

#[test]
fn two_hundred_captured_steps_are_eager_ones_to_the_bit() {
    let _alone = alone();
    for (rule, scaled) in rules().into_iter().zip([false, true]) {
        let mut training = Training { scaled, epochs: 40, ..Training::default() };
        training.config.rule = rule;
        let mut capture = Counted::new();
        let trained = training.compare(&mut capture);
        assert_eq!(trained.seen.len(), 240);
        let rejected = trained.seen.iter().filter(|seen| matches!(seen, Seen::Step(_, _, Some([.., (1..)]), _)));
        assert_eq!(rejected.count(), 1, "the planted NaN");
        // The first batch shows the form, and three warm up. 40 batches are the last ones of their epochs.
        assert_eq!((capture.captures, capture.capture.replays()), (1, 200 - 40 - 1 - 3 - 1));
        let said =
            "Steps are captured for inputs [2, 1, 4, 4]; batches of another form are trained on operator by operator";
        assert_eq!(trained.remarks, [said, "From here on steps are replayed from a capture"]);
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
    training.compare(&mut capture);
    assert_eq!(capture.captures, 3);
    assert!(capture.capture.replays() > 30);
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
    fn step(&mut self, step: &mut Step<'_>) -> Result<Stage, CaptureError> {
        if self.left > 0 {
            self.left -= 1;
            return self.capture.step(step);
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

/// An optimizer without a part that can be replayed.
struct Plain(optim::Optim);

impl Optimizer for Plain {
    fn minimize(
        &mut self,
        loss: &Tensor,
        weight: &dyn Fn() -> Result<Tensor, BoxError>,
    ) -> Result<Option<Update>, BoxError> {
        self.0.minimize(loss, weight)
    }

    fn flush(&mut self) -> Result<Option<Update>, BoxError> {
        self.0.flush()
    }

    fn learning_rate(&self) -> f64 {
        self.0.learning_rate()
    }
}

impl Stateful for Plain {
    fn state(&self) -> StateDict {
        self.0.state()
    }

    fn load_state(&mut self, state: &StateDict) -> Result<(), StateError> {
        self.0.load_state(state)
    }
}

#[test]
fn an_optimizer_that_cannot_be_replayed_is_not_captured() {
    let _alone = alone();
    let Parts { store, model, optimizer, mut metric } = Parts::new(&Training::default().config, 1, false);
    let (input, loss_fn) = (Images(vec![2]), loss::CrossEntropy::default());
    let (mut optimizer, mut capture) = (Plain(optimizer), Counted::new());
    let trainer = Trainer::new(&model, &input, &loss_fn, &mut optimizer, &mut metric, 9);
    let mut trainer = trainer.protect("model", &store).captured(&mut capture);
    assert_eq!(trainer.train(Progress::default()).map(Result::unwrap).count(), 18);
    assert_eq!(trainer.remarks(), ["No step is captured: the optimizer has no update that can be replayed"]);
    assert_eq!(trainer.remarks(), [""; 0]);
    assert_eq!(capture.captures, 0);
}

#[test]
fn a_model_that_changes_on_the_host_is_found_by_the_fake() {
    let _alone = alone();
    let Parts { store, model, mut optimizer, mut metric } = Parts::new(&Training::default().config, 1, false);
    let steps = AtomicU64::new(0);
    let loss_fn = |prediction: &Tensor, targets: &Tensor| -> Result<Tensor, BoxError> {
        // A weight that grows, which a replay would not see.
        let weight = steps.fetch_add(1, Relaxed) as f64;
        Ok(prediction.cross_entropy_loss::<Tensor>(targets, None, tch::Reduction::Mean, 255, 0.0) * (1.0 + weight))
    };
    let (input, mut capture) = (Images(vec![2]), Counted::new());
    let trainer = Trainer::new(&model, &input, &loss_fn, &mut optimizer, &mut metric, 9);
    let mut trainer = trainer.protect("model", &store).captured(&mut capture);
    let error = trainer.train(Progress::default()).find_map(Result::err).unwrap();
    assert!(matches!(error, executors::Error::Replay { .. }), "{error}");
    let said = "training, epoch 6, batch 1 (5.0.0, 5.0.1): a replay would not repeat the step: operator ";
    assert!(error.to_string().starts_with(said), "{error}");
    assert!(!trainer.optimizer.is_unchanged());
}
