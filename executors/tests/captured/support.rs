//! A training that is captured or not, and all that is to be compared of it.

use crate::wrong::{Spoiled, WARM_UP, Wrong};
use contract::{
    Agree, Average, Batch, Batches, BoxError, Capture, CaptureError, Event, Input, KEPT_STEPS, Metric, Optimizer,
    Outputs, Progress, Replayable, Scores, Stage, StateDict, StateError, Stateful, Step, TorchError, Update,
};
use executors::Trainer;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tch::nn::{self, VarStore};
use tch::{Device, Kind, Tensor};
use testing::noise;
use torch_ext::FakeCapture;

/// Makes the tests of this file run one after another: a process has one watch of operators and one generator.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Epochs of these batch sizes. The second batch of the sixth epoch is NaN.
pub struct Images(pub Vec<i64>);

impl Images {
    pub fn batch(&self, epoch: u64, index: u64) -> Batch {
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

/// Bits of an event's numbers.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    Step(Progress, u64, Option<[u64; 3]>, Vec<String>),
    Epoch(Progress, Vec<(String, u64)>),
}

pub fn bits(scalar: &Tensor) -> u64 {
    assert!(scalar.size().is_empty() && !scalar.requires_grad());
    scalar.double_value(&[]).to_bits()
}

pub fn seen(event: &Event) -> Seen {
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
pub struct Parts {
    pub store: VarStore,
    pub model: nn::SequentialT,
    pub optimizer: optim::Optim,
    pub metric: metric::Segmentation,
}

impl Parts {
    pub fn new(config: &optim::Config, batches: u64, scaled: bool) -> Self {
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
        let schedule = optim::Schedule { warmup: 7, decay: optim::Decay::Cosine { min_rate: 0.0, floor: 0.1 } };
        let length = optim::Length { updates_per_epoch: batches, epochs: 40 };
        let optimizer = config.build(contract::parameters(&store), schedule, length).unwrap();
        let optimizer = optimizer.averaging(Stateful::state(&store)).unwrap();
        let optimizer = if scaled { optimizer.scaling_the_loss().unwrap() } else { optimizer };
        let metric = metric::Segmentation::new(vec!["dark".into(), "bright".into()], Device::Cpu).unwrap();
        tch::manual_seed(3);
        Self { store, model, optimizer, metric }
    }
}

pub type States = BTreeMap<String, StateDict>;

pub fn copied(states: States) -> States {
    let copy = |state: StateDict| state.into_iter().map(|(name, tensor)| (name, tensor.copy())).collect();
    states.into_iter().map(|(name, state)| (name, copy(state))).collect()
}

pub fn assert_same(left: &States, right: &States) {
    assert!(left.keys().eq(right.keys()), "{:?} and {:?}", left.keys(), right.keys());
    for ((part, left), right) in left.iter().zip(right.values()) {
        assert!(left.keys().eq(right.keys()), "{part}: {:?} and {:?}", left.keys(), right.keys());
        for ((name, left), right) in left.iter().zip(right.values()) {
            assert!(left.equal(right), "{part} {name}: {left} and {right}");
        }
    }
}

/// Point at which a training was put down.
pub struct Saved {
    pub progress: Progress,
    pub states: States,
    pub generator: Tensor,
}

/// End of a training.
pub struct Trained {
    pub seen: Vec<Seen>,
    pub saved: Saved,
    pub remarks: Vec<String>,
    pub warnings: Vec<String>,
    pub error: Option<String>,
}

/// A training, and changes of it.
pub struct Training<'t> {
    pub config: optim::Config,
    pub batches: Vec<i64>,
    pub scaled: bool,
    pub epochs: u64,
    /// Events after which it is put down.
    pub events: usize,
    pub from: Option<&'t Saved>,
    /// Called before each event, with the number of events so far.
    pub before: &'t dyn Fn(usize, &optim::Gradients),
    /// Batch from which on the metric fails.
    pub fails_at: i64,
    /// Error of a replay, and the first replay that has it; the capture's own is number one.
    pub wrong: Option<(Wrong, u32)>,
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
        Self { config, batches, scaled: false, epochs: 12, events: usize::MAX, from, before, fails_at, wrong: None }
    }
}

impl Training<'_> {
    /// Trains all epochs, or what is left of them. Reads the numbers of a step as late as they must be kept.
    pub fn run(&self, capture: Option<&mut dyn Capture>) -> Trained {
        let input = Images(self.batches.clone());
        let mut parts = Parts::new(&self.config, input.len(), self.scaled);
        let gradients = parts.optimizer.asked_gradients();
        let states = [Stateful::state(&parts.store), parts.metric.state(), parts.optimizer.state()];
        let mut capture = capture.map(|capture| Spoiled::new(capture, self.wrong, states));
        let loss_fn = loss::CrossEntropy::default();
        let mut metric = Fails { metric: &mut parts.metric, at: self.fails_at };
        let trainer = Trainer::new(&parts.model, &input, &loss_fn, &mut parts.optimizer, &mut metric, self.epochs);
        let mut trainer = trainer.protect("model", &parts.store);
        if let Some(capture) = &mut capture {
            trainer = trainer.captured(capture);
        }
        let mut from = Progress::default();
        if let Some(saved) = self.from {
            trainer.restore(&saved.states).unwrap();
            torch_ext::set_generator_state(Device::Cpu, &saved.generator).unwrap();
            from = saved.progress;
        }
        let mut training = trainer.train(from);
        let (mut events, mut seen, mut error) = (Vec::new(), Vec::new(), None);
        let (mut remarks, mut warnings) = (Vec::new(), Vec::new());
        while events.len() < self.events {
            (self.before)(events.len(), &gradients);
            match training.next() {
                None => break,
                Some(Err(failed)) => error = Some(failed.to_string()),
                Some(Ok(event)) => events.push(event),
            }
            remarks.extend(training.trainer.remarks());
            warnings.extend(training.trainer.warning());
            if events.len() > KEPT_STEPS as usize {
                seen.push(self::seen(&events[seen.len()]));
            }
        }
        seen.extend(events[seen.len()..].iter().map(self::seen));
        let progress = training.progress();
        let generator = torch_ext::generator_state(Device::Cpu).unwrap();
        let saved = Saved { progress, states: copied(trainer.states()), generator };
        Trained { seen, saved, remarks, warnings, error }
    }

    /// Trains with and without a capture, and compares everything.
    pub fn compare(&self, capture: &mut dyn Capture) -> Trained {
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
        assert_eq!((eager.remarks, eager.warnings), (vec![], vec![]));
        assert_eq!(captured.warnings.len(), usize::from(self.wrong.is_some()), "{:?}", captured.warnings);
        captured
    }
}

/// A metric that fails from a batch on.
pub struct Fails<'m> {
    pub metric: &'m mut metric::Segmentation,
    pub at: i64,
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

/// Way in which an [`Odd`] optimizer is another one than its own.
pub enum Oddity {
    /// It has no part that can be replayed.
    Whole,
    /// It has a tensor in its state that no memory can hold a copy of.
    Huge,
}

/// An optimizer that is odd.
pub struct Odd(pub optim::Optim, pub Oddity);

impl Optimizer for Odd {
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

    fn average(&mut self) -> Option<&mut dyn Average> {
        self.0.average()
    }

    fn replayable(&mut self) -> Option<&mut dyn Replayable> {
        if let Oddity::Whole = self.1 { None } else { self.0.replayable() }
    }
}

impl Stateful for Odd {
    fn state(&self) -> StateDict {
        let mut state = self.0.state();
        if let Oddity::Huge = self.1 {
            state.insert("huge".into(), Tensor::zeros([1], (Kind::Float, Device::Cpu)).expand([1 << 50], false));
        }
        state
    }

    fn load_state(&mut self, state: &StateDict) -> Result<(), StateError> {
        self.0.load_state(state)
    }
}

/// A capture that counts the captures of another one.
pub struct Counted {
    pub capture: FakeCapture,
    pub captures: u64,
}

impl Counted {
    pub fn new() -> Self {
        Self { capture: FakeCapture::new(WARM_UP).unwrap(), captures: 0 }
    }
}

impl Capture for Counted {
    fn step_if_all(&mut self, step: &mut Step<'_>, all: &mut Agree<'_>) -> Result<Stage, CaptureError> {
        let stage = self.capture.step_if_all(step, all)?;
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
