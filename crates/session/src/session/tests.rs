//! Whole sessions over a linear model: with numbers that a replay overwrites, and with a schedule that follows a score.

mod early;
mod enqueued;
mod ranks;
mod wrong;

use super::*;
use crate::opened::Opened;
use crate::settings::{NonFinite, Policy};
use contract::{
    Average, Batch, Batches, Input, KEPT_STEPS, Metric, Optimizer, Outputs, Replayable, StateDict, StateError, Stateful,
};
use contract::{Update, load};
use executors::{Trainer, Validator};
use optim::{Decay, Length, Optim, Plateau, Schedule};
use serde_json::Value;
use std::collections::VecDeque;
use std::fs;
use tch::nn::{self, VarStore};
use tch::{Device, Kind, Tensor};
use torch_ext::FakeCapture;
use wrong::Spoiled;

/// Points on a plane, with noise. A NaN stands in the batch `poisoned` of the first epoch.
struct Points {
    batches: u64,
    poisoned: Option<u64>,
}

impl Input for Points {
    fn epoch(&self, epoch: u64, skip: u64) -> Batches<'_> {
        Box::new((skip..self.batches).map(move |batch| {
            let place = (epoch * self.batches + batch) as f64;
            let ramp = Tensor::arange(6, (Kind::Float, Device::Cpu)) * 1.3 + place;
            let inputs = ramp.sin().view([3, 2]);
            let noise = ramp.narrow(0, 0, 3).cos() * 0.1;
            let mut targets = inputs.sum_dim_intlist([1i64].as_slice(), false, Kind::Float) + noise;
            if self.poisoned.is_some_and(|poisoned| (epoch, batch) == (0, poisoned)) {
                targets += f64::NAN;
            }
            Ok(Batch::new(inputs, targets, (0..3).map(|sample| format!("{place}.{sample}")).collect()))
        }))
    }

    fn len(&self) -> u64 {
        self.batches
    }
}

/// Mean loss.
struct Mean(Tensor);

impl Mean {
    fn new() -> Self {
        Self(Tensor::zeros([2], (Kind::Double, Device::Cpu)))
    }
}

impl Metric for Mean {
    fn reset(&mut self) {
        let _ = self.0.zero_();
    }

    fn update(&mut self, loss: &Tensor, _: &Outputs, _: &Batch) -> std::result::Result<(), BoxError> {
        self.0 += Tensor::stack(&[loss.to_kind(Kind::Double), Tensor::from(1.0)], 0);
        Ok(())
    }

    fn compute(&self) -> std::result::Result<Scores, BoxError> {
        let sums = Vec::<f64>::try_from(&self.0)?;
        Ok(vec![("loss".into(), sums[0] / sums[1])])
    }
}

impl Stateful for Mean {
    fn state(&self) -> StateDict {
        [("sums".to_string(), self.0.shallow_clone())].into()
    }

    fn load_state(&mut self, state: &StateDict) -> std::result::Result<(), StateError> {
        load(&self.state(), state)
    }
}

/// Optimizer whose numbers, and whose losses, are overwritten as early as those of a replayed step may be.
struct Replayed {
    optim: Optim,
    ring: Option<VecDeque<Vec<Tensor>>>,
}

impl Stateful for Replayed {
    fn state(&self) -> StateDict {
        self.optim.state()
    }

    fn load_state(&mut self, state: &StateDict) -> std::result::Result<(), StateError> {
        self.optim.load_state(state)
    }
}

impl Optimizer for Replayed {
    fn minimize(
        &mut self,
        loss: &Tensor,
        weight: &dyn Fn() -> std::result::Result<Tensor, BoxError>,
    ) -> std::result::Result<Option<Update>, BoxError> {
        let update = self.optim.minimize(loss, weight)?;
        if let Some(ring) = &mut self.ring {
            let of_update = update.iter().flat_map(|update| [&update.gradient_norm, &update.rejected]);
            // The loss of the event shares its memory.
            ring.push_back(of_update.map(Tensor::shallow_clone).chain([loss.detach()]).collect());
            if ring.len() as u64 > KEPT_STEPS + 1 {
                ring.pop_front().into_iter().flatten().for_each(|mut tensor| drop(tensor.fill_(1e9)));
            }
        }
        Ok(update)
    }

    fn flush(&mut self) -> std::result::Result<Option<Update>, BoxError> {
        self.optim.flush()
    }

    fn is_unchanged(&self) -> bool {
        self.optim.is_unchanged()
    }

    fn learning_rate(&self) -> f64 {
        self.optim.learning_rate()
    }

    fn scored(&mut self, scores: &Scores) -> std::result::Result<(), BoxError> {
        self.optim.scored(scores)
    }

    fn average(&mut self) -> Option<&mut dyn Average> {
        self.optim.average()
    }

    fn replayable(&mut self) -> Option<&mut dyn Replayable> {
        self.optim.replayable()
    }
}

/// Place in the loop at which a caller's code fails.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fails {
    Never,
    AfterValidation(u64),
    AfterEpoch(u64),
}

/// A training to run.
struct Run {
    input: Points,
    epochs: u64,
    config: optim::Config,
    schedule: Schedule,
    settings: Settings,
    /// True if the guard looks as seldom as at a GPU.
    seldom: bool,
    /// True if a step overwrites the numbers of earlier ones.
    overwrites: bool,
    /// True if steps are captured and replayed.
    captured: bool,
    /// True if they are replayed with another loss.
    wrong: bool,
}

impl Run {
    fn new(batches: u64, epochs: u64) -> Self {
        let mut settings = Settings::default();
        settings.summary.tensorboard = false;
        settings.summary.per_step = true;
        settings.checkpoint.keep_best = false;
        settings.non_finite = NonFinite { policy: Policy::Skip, limit: 9 };
        Self {
            input: Points { batches, poisoned: None },
            epochs,
            config: optim::Config { learning_rate: 0.05, ..optim::Config::default() },
            schedule: Schedule::default(),
            settings,
            seldom: false,
            overwrites: false,
            captured: false,
            wrong: false,
        }
    }

    /// Trains in `folder`, from its checkpoint on. Returns all states at the end.
    fn train(&self, folder: &Path, fails: Fails) -> Result<Vec<(String, Tensor)>> {
        let store = VarStore::new(Device::Cpu);
        let zeros = nn::LinearConfig { ws_init: nn::Init::Const(0.0), bs_init: None, bias: false };
        let model = nn::linear(store.root(), 2, 1, zeros);
        let loss_fn = |outputs: &Tensor, targets: &Tensor| -> std::result::Result<Tensor, BoxError> {
            Ok(outputs.squeeze_dim(1).mse_loss(targets, tch::Reduction::Mean))
        };
        let length = Length { updates_per_epoch: self.config.updates_per_epoch(self.input.batches), epochs: 1 };
        let optim = self.config.build(contract::parameters(&store), self.schedule.clone(), length).unwrap();
        let mut optimizer = Replayed { optim, ring: self.overwrites.then(VecDeque::new) };
        let (mut metric, mut scores) = (Mean::new(), Mean::new());
        let validation = Points { batches: 2, poisoned: None };
        let signals = Signals::listen().unwrap();
        let mut capture = Spoiled { capture: FakeCapture::new(3).unwrap(), wrong: self.wrong };
        let mut opened = Opened::open(folder)?;
        let trainer = Trainer::new(&model, &self.input, &loss_fn, &mut optimizer, &mut metric, self.epochs);
        let mut trainer = trainer.protect("model", &store);
        if self.captured {
            trainer = trainer.captured(&mut capture);
        }
        let (mut session, mut training) = Session::begin(&mut opened, self.settings.clone(), &signals, &mut trainer)?;
        if self.seldom {
            session.guard = Guard::new(Device::Cuda(0));
        }
        while let Some(reached) = session.next(&mut training)? {
            if let Reached::Epoch { progress, scores: of_training } = reached {
                let mut validator = Validator::new(&model, &validation, &loss_fn, &mut scores);
                session.validate(&mut training, |watch| validator.test(watch))?;
                let fail = |at: Fails| if fails == at { Err("the caller failed".into()) } else { Ok(()) };
                session.with(&mut training, |_| fail(Fails::AfterValidation(progress.epoch)))?;
                session.epoch(&mut training, &of_training)?;
                session.with(&mut training, |_| fail(Fails::AfterEpoch(progress.epoch)))?;
            }
            if session.settle(&mut training)?.is_break() {
                break;
            }
        }
        session.finish(&mut training)?;
        let all = training.trainer.states().into_iter().flat_map(|(part, state)| {
            state.into_iter().map(move |(name, tensor)| (format!("{part}.{name}"), tensor.copy()))
        });
        let all = all.collect();
        drop(training);
        drop(trainer);
        assert_eq!(capture.capture.replays() > 0, self.captured);
        Ok(all)
    }
}

/// Returns the lines of `metrics.jsonl`, without what differs from run to run.
fn lines(folder: &Path) -> Vec<Value> {
    let own = |key: &str| ["time", "memory_mb", "images_per_second"].contains(&key) || key.starts_with("seconds/");
    let line = |line: &str| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        line.as_object_mut().unwrap().retain(|key, _| !own(key));
        line
    };
    fs::read_to_string(folder.join("metrics.jsonl")).unwrap().lines().map(line).collect()
}

/// Returns lines without the norms of gradients, whose mean over an epoch begins anew in a run that resumes.
fn without_norms(mut lines: Vec<Value>) -> Vec<Value> {
    lines.iter_mut().for_each(|line| drop(line.as_object_mut().unwrap().remove("gradient_norm")));
    lines
}

/// Returns the records of the rejected batches.
fn rejected(folder: &Path) -> Vec<Value> {
    let mut found: Vec<_> = fs::read_dir(folder.join("rejected")).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found.iter().map(|path| checkpoint::load(path).unwrap().about).collect()
}

fn assert_same(left: &[(String, Tensor)], right: &[(String, Tensor)], when: &str) {
    assert_eq!(left.len(), right.len(), "{when}");
    for ((name, left), (other, right)) in left.iter().zip(right) {
        assert!(name == other && left.equal(right), "{when}: {name} is {left}, and {other} {right}");
    }
}

#[test]
fn a_step_that_overwrites_the_numbers_of_earlier_ones_leaves_the_same_log() {
    for accumulate in [1, 32, 70] {
        let root = tempfile::tempdir().unwrap();
        let ended = [false, true].map(|overwrites| {
            let folder = root.path().join(overwrites.to_string());
            let mut run = Run::new(90, 2);
            run.input.poisoned = Some(40);
            run.config.accumulate = accumulate;
            (run.seldom, run.overwrites) = (true, overwrites);
            let states = run.train(&folder, Fails::Never).unwrap();
            (states, lines(&folder), rejected(&folder))
        });
        let [(plain, lines, rejected), (states, of_replayed, rejected_there)] = ended;
        assert_same(&states, &plain, "overwritten");
        assert_eq!(of_replayed, lines, "{accumulate} batches an update");
        assert_eq!(rejected_there, rejected, "{accumulate} batches an update");
        assert!(lines.len() > 8 && rejected.len() == 1 && rejected[0]["rejected"]["loss"] == "NaN", "{rejected:?}");
    }
}

#[test]
fn captured_steps_leave_the_same_log_and_the_same_forensics() {
    let root = tempfile::tempdir().unwrap();
    let [eager, captured] = [false, true].map(|captured| {
        let folder = root.path().join(captured.to_string());
        let mut run = Run::new(90, 2);
        run.input.poisoned = Some(40);
        run.config.clip_norm = Some(0.5);
        run.schedule = Schedule { warmup: 20, decay: Decay::Cosine { min_rate: 0.0, floor: 0.0 } };
        (run.seldom, run.captured) = (true, captured);
        run.settings.until_step = Some(70);
        run.train(&folder, Fails::Never).unwrap();
        // Stopped and resumed.
        run.settings.until_step = None;
        let states = run.train(&folder, Fails::Never).unwrap();
        (states, lines(&folder), rejected(&folder))
    });
    assert_same(&captured.0, &eager.0, "captured");
    assert_eq!((&captured.1, &captured.2), (&eager.1, &eager.2));
    assert!(eager.1.len() > 8 && eager.2.len() == 1);
}

#[test]
fn a_wrong_replay_is_warned_of_once_and_leaves_no_trace() {
    wrong::listen();
    let root = tempfile::tempdir().unwrap();
    let [eager, captured] = [false, true].map(|captured| {
        let folder = root.path().join(captured.to_string());
        let mut run = Run::new(20, 2);
        (run.captured, run.wrong) = (captured, true);
        (run.train(&folder, Fails::Never).unwrap(), lines(&folder))
    });
    assert_same(&captured.0, &eager.0, "captured");
    assert_eq!(captured.1, eager.1);
    let said = wrong::said();
    let of_replay = said.iter().filter(|(_, said)| said.contains("a replayed step differs"));
    let levels: Vec<log::Level> = of_replay.map(|(level, _)| *level).collect();
    assert_eq!(levels, [log::Level::Warn], "{said:?}");
}

fn following() -> Run {
    // A demand that most epochs miss.
    let plateau = Plateau { patience: 0, factor: 0.5, threshold: 0.4, ..Plateau::default() };
    let schedule = Schedule { warmup: 0, decay: Decay::Plateau(plateau) };
    Run { schedule, ..Run::new(4, 5) }
}

#[test]
fn a_schedule_is_given_each_epochs_scores_once_wherever_the_run_is_cut() {
    let root = tempfile::tempdir().unwrap();
    let folder = |name: &str| root.path().join(name);
    let straight = following().train(&folder("straight"), Fails::Never).unwrap();
    let factor = straight.iter().find(|(name, _)| name == "optimizer.plateau.factor").unwrap().1.double_value(&[]);
    assert!(factor < 0.5, "it must have fallen more than once, and is {factor}");
    let expected = without_norms(lines(&folder("straight")));
    let resumed = |name: &str| {
        assert_same(&following().train(&folder(name), Fails::Never).unwrap(), &straight, name);
        assert_eq!(without_norms(lines(&folder(name))), expected, "{name}");
    };
    for step in 1..20 {
        let name = format!("stopped at {step}");
        let mut run = following();
        run.settings.until_step = Some(step);
        run.train(&folder(&name), Fails::Never).unwrap();
        resumed(&name);
    }
    for epoch in 1..=5 {
        for fails in [Fails::AfterValidation(epoch), Fails::AfterEpoch(epoch)] {
            let name = format!("{fails:?}");
            assert_eq!(following().train(&folder(&name), fails).unwrap_err().to_string(), "the caller failed");
            resumed(&name);
        }
    }
}

#[test]
fn a_score_that_does_not_exist_is_an_error_and_the_epoch_is_saved() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("run");
    let mut run = following();
    let Decay::Plateau(plateau) = &mut run.schedule.decay else { panic!() };
    plateau.score = "iou".into();
    let said = run.train(&folder, Fails::Never).unwrap_err().to_string();
    assert!(said.contains("schedule.decay.score: there is no score \"iou\", only loss"), "{said}");
    let straight = following().train(&root.path().join("straight"), Fails::Never).unwrap();
    assert_same(&following().train(&folder, Fails::Never).unwrap(), &straight, "with the right score");
}
