//! Sessions of several ranks, which are threads. Each trains on the same batches, so that no gradient needs to be
//! summed, and measures them with a metric of its own.

mod failing;

use super::enqueued::Enqueued;
use super::*;
use crate::folder::{Folder, REQUEUE};
use contract::{Alone, Ranks, total};
use std::path::PathBuf;
use tempfile::TempDir;
use testing::together;

/// The points of all ranks under names of this one. One batch may be poisoned or unreadable.
struct Own {
    points: Points,
    rank: usize,
    unreadable: Option<u64>,
}

impl Input for Own {
    fn epoch(&self, epoch: u64, skip: u64) -> Batches<'_> {
        let batches = (skip..).zip(self.points.epoch(epoch, skip));
        Box::new(batches.map(move |(index, batch)| {
            if self.unreadable == Some(index) {
                return Err("cat_7.jpg is torn".into());
            }
            let mut batch = batch?;
            batch.names.iter_mut().for_each(|name| *name = format!("{name} of {}", self.rank));
            Ok(batch)
        }))
    }

    fn len(&self) -> u64 {
        self.points.len()
    }
}

/// Mean loss over all ranks, of which each counts its own.
struct Joint<'r> {
    own: Mean,
    ranks: &'r dyn Ranks,
}

impl Metric for Joint<'_> {
    fn reset(&mut self) {
        self.own.reset();
    }

    fn update(&mut self, loss: &Tensor, _: &Outputs, _: &Batch) -> std::result::Result<(), BoxError> {
        let weight = 1.0 + self.ranks.rank() as f64;
        self.own.0 += Tensor::stack(&[loss.to_kind(Kind::Double) * weight, Tensor::from(weight)], 0);
        Ok(())
    }

    fn compute(&self) -> std::result::Result<Scores, BoxError> {
        let mut all = Mean::new();
        self.ranks.gather(&self.own.state())?.iter().try_for_each(|state| all.merge(state))?;
        all.compute()
    }
}

impl Stateful for Joint<'_> {
    fn state(&self) -> StateDict {
        self.own.state()
    }

    fn load_state(&mut self, state: &StateDict) -> std::result::Result<(), StateError> {
        self.own.load_state(state)
    }
}

/// Training of several ranks; what happens on one of them comes with its number.
struct Crew {
    folder: TempDir,
    run: Run,
    poisoned: Option<(usize, u64)>,
    unreadable: Option<(usize, u64)>,
    /// A signal after a step; after step 0, in the first validation.
    signal: Option<(usize, u64)>,
    enqueued: bool,
}

type States = Vec<(String, Tensor)>;

/// End of a rank.
struct Ended {
    outcome: std::result::Result<Outcome, String>,
    step: u64,
    begun: States,
    states: States,
}

fn all_of(training: &mut Training) -> States {
    let states = training.trainer.states().into_iter().flat_map(|(part, state)| {
        state.into_iter().map(move |(name, tensor)| (format!("{part}.{name}"), tensor.copy()))
    });
    states.collect()
}

impl Crew {
    fn new(batches: u64, epochs: u64) -> Self {
        let mut run = Run::new(batches, epochs);
        run.settings.checkpoint.keep_last = 100;
        run.settings.save.every_epochs = 100;
        run.settings.command = Some("train --run".into());
        let (folder, poisoned, unreadable, signal) = (tempfile::tempdir().unwrap(), None, None, None);
        Self { folder, run, poisoned, unreadable, signal, enqueued: false }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    fn train(&self, count: usize) -> Vec<Ended> {
        let ended = together(count, |ranks| self.rank(ranks));
        let entries = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(entries.into_iter().all(|name| name == "run"), "another rank than the first has written");
        ended
    }

    /// Trains one rank, on a machine of its own.
    fn rank(&self, ranks: &dyn Ranks) -> Ended {
        let (mut ended, at) = ((Vec::new(), Vec::new()), std::cell::Cell::new(0));
        let enqueued = Enqueued::new(ranks);
        let ranks: &dyn Ranks = if self.enqueued { &enqueued } else { ranks };
        let outcome = self.work(ranks, &mut ended, &at).map_err(|error| error.to_string());
        Ended { outcome, step: at.get(), begun: ended.0, states: ended.1 }
    }

    fn work(&self, ranks: &dyn Ranks, states: &mut (States, States), at: &std::cell::Cell<u64>) -> Result<Outcome> {
        let Run { input: Points { batches, .. }, epochs, config, schedule, settings, .. } = &self.run;
        let here = |of: Option<(usize, u64)>| of.filter(|(rank, _)| *rank == ranks.rank()).map(|(_, place)| place);
        let store = VarStore::new(Device::Cpu);
        let zeros = nn::LinearConfig { ws_init: nn::Init::Const(0.0), bs_init: None, bias: false };
        let model = nn::linear(store.root(), 2, 1, zeros);
        let loss_fn = |outputs: &Tensor, targets: &Tensor| -> std::result::Result<Tensor, BoxError> {
            let own = outputs.squeeze_dim(1).mse_loss(targets, tch::Reduction::Mean);
            // The mean of all ranks, with the gradient of one.
            let mean = total(ranks, &own.detach())? / ranks.count() as f64;
            Ok(&own - own.detach() + mean)
        };
        let points = Points { batches: *batches, poisoned: here(self.poisoned) };
        let input = Own { points, rank: ranks.rank(), unreadable: here(self.unreadable) };
        let length = Length { updates_per_epoch: config.updates_per_epoch(*batches), epochs: 1 };
        let mut optimizer = config.build(contract::parameters(&store), schedule.clone(), length).unwrap();
        let [mut metric, mut scores] = [(); 2].map(|()| Joint { own: Mean::new(), ranks });
        let validation = Points { batches: 4, poisoned: None };
        let signals = Signals::listen().unwrap();
        let mut opened = Opened::across(ranks, || Opened::open(&self.path()))?;
        if ranks.rank() > 0 {
            let other = self.folder.path().join(format!("machine {}", ranks.rank()));
            opened = opened.with_folder(Folder::at(&other));
        }
        let trainer = Trainer::new(&model, &input, &loss_fn, &mut optimizer, &mut metric, *epochs);
        let mut trainer = trainer.protect("model", &store);
        let (mut session, mut training) =
            Session::begin_across(ranks, &mut opened, settings.clone(), &signals, &mut trainer)?;
        assert_eq!((session.writes(), session.lock().is_some()), (ranks.rank() == 0, ranks.rank() == 0));
        states.0 = all_of(&mut training);
        if self.run.seldom {
            session.guard = Guard::new(Device::Cuda(0));
        }
        let signal = here(self.signal);
        while let Some(reached) = session.next(&mut training)? {
            at.set(training.progress().step);
            if signal == Some(at.get()) {
                signals.pretend_to_stop();
            }
            if let Reached::Epoch { scores: of_training, .. } = reached {
                let mut validator = Validator::new(&model, &validation, &loss_fn, &mut scores);
                session.validate(&mut training, |watch| {
                    validator.test(|samples| {
                        if signal == Some(0) {
                            signals.pretend_to_stop();
                        }
                        watch(samples)
                    })
                })?;
                session.epoch(&mut training, &of_training)?;
            }
            if session.settle(&mut training)?.is_break() {
                break;
            }
        }
        let outcome = session.finish(&mut training)?;
        states.1 = all_of(&mut training);
        Ok(outcome)
    }

    fn load(&self, step: u64) -> checkpoint::Snapshot {
        checkpoint::load(&self.path().join(format!("checkpoints/step-{step:010}"))).unwrap()
    }

    fn saved(&self) -> Vec<u64> {
        let all = Folder::at(&self.path()).store(&checkpoint::Config::default()).list().unwrap();
        all.iter().filter_map(|path| checkpoint::step_of(path)).collect()
    }
}

/// Asserts that all ranks ended alike, at `step`.
fn assert_ended(ended: &[Ended], outcome: Outcome, step: u64) {
    for ended in ended {
        assert_eq!((&ended.outcome, ended.step), (&Ok(outcome), step));
    }
}

/// Asserts that each rank learnt and counted the same as its counterpart.
fn assert_alike(left: &[Ended], right: &[Ended], when: &str) {
    assert_eq!(left.len(), right.len());
    left.iter().zip(right).for_each(|(left, right)| assert_same(&left.states, &right.states, when));
}

fn weights(ended: &Ended) -> Vec<f64> {
    let weights = ended.states.iter().filter(|(name, _)| name.starts_with("model."));
    weights.flat_map(|(_, weight)| Vec::<f64>::try_from(weight.flatten(0, -1).to_kind(Kind::Double)).unwrap()).collect()
}

#[test]
fn a_signal_to_one_rank_stops_all_at_the_same_step_and_they_resume_to_the_bit() {
    let straight = Crew::new(8, 2).train(2);
    assert_ended(&straight, Outcome::Finished, 16);
    let mut crew = Crew::new(8, 2);
    crew.signal = Some((1, 3));
    // Raised in step 4, heard in step 5.
    assert_ended(&crew.train(2), Outcome::Stopped, 5);
    assert_eq!(crew.saved(), [5]);
    let said = fs::read_to_string(crew.path().join(REQUEUE)).unwrap();
    assert_eq!(said, format!("train --run {}\n", crew.path().display()));
    let metrics =
        ["metric", "metric-1"].map(|name| Vec::<f64>::try_from(&crew.load(5).states[name]["sums"]).unwrap()[1]);
    assert_eq!(metrics, [5.0, 10.0]);
    crew.signal = None;
    let resumed = crew.train(2);
    assert_ended(&resumed, Outcome::Finished, 16);
    assert_alike(&resumed, &straight, "resumed");
    assert!(!crew.path().join(REQUEUE).exists());
}

#[test]
fn a_signal_in_a_validation_breaks_it_off_everywhere() {
    let straight = Crew::new(4, 2).train(2);
    let mut crew = Crew::new(4, 2);
    crew.signal = Some((1, 0));
    assert_ended(&crew.train(2), Outcome::Stopped, 4);
    assert!(crew.path().join(REQUEUE).exists() && crew.saved() == [4]);
    assert_eq!(lines(&crew.path()).iter().filter(|line| line["stage"] == "validation").count(), 0);
    crew.signal = None;
    assert_alike(&crew.train(2), &straight, "resumed");
}

#[test]
fn a_stop_or_a_checkpoint_waits_for_the_update_of_accumulated_batches() {
    let mut crew = Crew::new(12, 1);
    crew.run.config.accumulate = 3;
    crew.run.settings.save.every_steps = Some(4);
    let straight = crew.train(2);
    assert_ended(&straight, Outcome::Finished, 12);
    assert_eq!(crew.saved(), [6, 9, 12]);
    let mut crew = Crew::new(12, 1);
    crew.run.config.accumulate = 3;
    crew.run.settings.until_step = Some(4);
    assert_ended(&crew.train(2), Outcome::Stopped, 6);
    assert!(!crew.path().join(REQUEUE).exists(), "nobody wants it to go on by itself");
    assert!(crew.load(6).states["optimizer"].keys().all(|name| !name.starts_with("gradient.")));
    crew.run.settings.until_step = None;
    assert_alike(&crew.train(2), &straight, "resumed");
}

#[test]
fn the_first_ranks_clock_saves_for_all_and_once() {
    let mut crew = Crew::new(7, 1);
    crew.run.settings.save.every_minutes = Some(1e-9);
    assert_ended(&crew.train(3), Outcome::Finished, 7);
    assert_eq!(crew.saved(), [2, 4, 6, 7]);
    assert!(crew.load(4).states.contains_key("metric-2"));
}

#[test]
fn a_run_goes_on_with_fewer_and_with_more_ranks() {
    let straight = Crew::new(8, 2).train(3);
    let mut crew = Crew::new(8, 2);
    for (count, until) in [(3, 5), (2, 7), (3, 11)] {
        crew.run.settings.until_step = Some(until);
        assert_ended(&crew.train(count), Outcome::Stopped, until);
    }
    // Five steps of the weights 1, 2 and 3, and two of 1 and 2.
    let counted = |name: &str| Vec::<f64>::try_from(&crew.load(7).states[name]["sums"]).unwrap()[1];
    assert_eq!([counted("metric"), counted("metric-1")], [5.0 * 6.0 + 2.0, 2.0 * 2.0]);
    assert!(!crew.load(7).states.contains_key("metric-2"));
    crew.run.settings.until_step = None;
    let ended = crew.train(3);
    assert_ended(&ended, Outcome::Finished, 16);
    for (weight, expected) in weights(&ended[2]).iter().zip(weights(&straight[2])) {
        assert!((weight - expected).abs() < 1e-6, "{weight} {expected}");
    }
}

#[test]
fn gradients_that_one_process_left_waiting_count_once() {
    let mut crew = Crew::new(6, 1);
    crew.run.config.accumulate = 3;
    crew.run.settings.until_step = Some(2);
    assert_ended(&[crew.rank(&Alone::default())], Outcome::Stopped, 2);
    let saved = crew.load(2).states;
    let gradient = &saved["optimizer"]["gradient.weight"];
    assert!(!saved.contains_key("ranks") && gradient.abs().sum(Kind::Float).double_value(&[]) > 0.0);
    crew.run.settings.until_step = None;
    let ended = crew.train(2);
    assert_ended(&ended, Outcome::Finished, 6);
    let begun = |rank: usize, name: &str| ended[rank].begun.iter().find(|(known, _)| known == name).unwrap().1.copy();
    assert_eq!(begun(0, "optimizer.gradient.weight"), *gradient);
    assert_eq!(begun(1, "optimizer.gradient.weight"), gradient.zeros_like());
    assert_eq!([0, 1].map(|rank| begun(rank, "optimizer.accumulated").int64_value(&[])), [2, 2]);
    assert_eq!([0, 1].map(|rank| Vec::<f64>::try_from(begun(rank, "metric.sums")).unwrap()[1]), [2.0, 0.0]);
}

#[test]
fn early_stopping_ends_all_ranks_after_the_same_epoch() {
    let mut crew = Crew::new(4, 9);
    let rule = crate::EarlyStopping { min_delta: 1e9, patience: 2, ..crate::EarlyStopping::default() };
    crew.run.settings.early_stopping = Some(rule);
    assert_ended(&crew.train(2), Outcome::Finished, 12);
    assert_eq!(crew.saved(), [12]);
    assert_ended(&crew.train(2), Outcome::Finished, 0);
}

#[test]
fn what_the_first_rank_cannot_open_or_restore_is_an_error_everywhere() {
    let mut crew = Crew::new(4, 1);
    crew.run.settings.until_step = Some(2);
    crew.train(1);
    let said = |crew: &Crew| crew.train(2).into_iter().map(|ended| ended.outcome.unwrap_err()).collect::<Vec<_>>();
    let held = Lock::take(&crew.path()).unwrap();
    let [own, other] = &said(&crew)[..] else { panic!() };
    assert!(own.contains("is being trained by") && *other == format!("rank 0: {own}"), "{own}, {other}");
    drop(held);
    crew.run.config.rule = optim::Rule::Sgd(optim::Sgd::default());
    for said in said(&crew) {
        assert!(said.contains("the state 'optimizer'"), "{said}");
    }
}
