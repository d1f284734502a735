//! Time of an epoch from JPEG files to written scores, and the loop's share of it besides its steps. `scripts/bench
//! epoch` builds and runs this, and lists the measurements.
//!
//! The contestants take turns in every round, and every round begins with another one. The first round warms up and
//! does not count.

#[path = "../common/mod.rs"]
mod common;

use common::training::Training;
use common::{Outcome, Peers, Table, load, median};
use contract::{BoxError, Event, Input, Optimizer, Progress, StateDict, StateError, Stateful, Update};
use data::{Config, Loader, Order, Split, Tell};
use executors::Trainer;
use optim::Optim;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use summary::{Stage, Summary};
use tch::nn::ModuleT;
use tch::{Device, Tensor};

const WIDTH: i64 = 32;

/// Returns a loader of the training photographs as in `configs/pets.json`.
fn loader(root: &Path, cache: &str) -> Outcome<Loader> {
    let loader = json!({ "batch_size": 16, "cache": cache });
    let config = json!({ "kind": "oxford_pets", "root": root, "size": [128, 128], "loader": loader });
    let config: Config = serde_json::from_value(config)?;
    let silent: Tell = Arc::new(|_| ());
    let dataset = config.open_cached(Split::Train, 1, &silent)?;
    Ok(Loader::new(dataset, config.pipeline(Split::Train), config.loader(), Order::Shuffled, 0, Device::Cpu)?)
}

/// Total time from the beginning of each step's forward pass to the end of its update.
#[derive(Debug, Clone, Default)]
struct Clock(Arc<Mutex<(Option<Instant>, Duration)>>);

impl Clock {
    fn start(&self) {
        if let Ok(mut clock) = self.0.lock() {
            clock.0 = Some(Instant::now());
        }
    }

    fn stop(&self) {
        if let Ok(mut clock) = self.0.lock() {
            let passed = clock.0.take().map(|start| start.elapsed()).unwrap_or_default();
            clock.1 += passed;
        }
    }

    fn seconds(&self) -> f64 {
        self.0.lock().map(|clock| clock.1.as_secs_f64()).unwrap_or(f64::NAN)
    }
}

#[derive(Debug)]
struct TimedModel<'a>(&'a mut dyn ModuleT, Clock);

impl ModuleT for TimedModel<'_> {
    fn forward_t(&self, x: &Tensor, train: bool) -> Tensor {
        self.1.start();
        self.0.forward_t(x, train)
    }
}

struct TimedOptimizer<'a>(&'a mut Optim, Clock);

impl Stateful for TimedOptimizer<'_> {
    fn state(&self) -> StateDict {
        self.0.state()
    }

    fn load_state(&mut self, state: &StateDict) -> Result<(), StateError> {
        self.0.load_state(state)
    }
}

impl Optimizer for TimedOptimizer<'_> {
    fn minimize(
        &mut self,
        loss: &Tensor,
        weight: &dyn Fn() -> Result<Tensor, BoxError>,
    ) -> Result<Option<Update>, BoxError> {
        let update = self.0.minimize(loss, weight);
        self.1.stop();
        update
    }

    fn flush(&mut self) -> Result<Option<Update>, BoxError> {
        self.0.flush()
    }

    fn learning_rate(&self) -> f64 {
        self.0.learning_rate()
    }
}

/// Returns the seconds of an epoch (batches, steps, the metric, and the log), and of its steps.
fn epoch(training: &mut Training, input: &Loader, summary: &mut Summary, epoch: u64) -> Outcome<[f64; 2]> {
    let start = Instant::now();
    let clock = Clock::default();
    let model = TimedModel(training.model.as_mut(), clock.clone());
    let mut optimizer = TimedOptimizer(&mut training.optimizer, clock.clone());
    let (loss_fn, metric) = (&training.loss_fn, &mut training.metric);
    let mut trainer = Trainer::new(&model, input, loss_fn, &mut optimizer, metric, epoch + 1);
    for event in trainer.train(Progress { epoch, step: epoch * input.len(), ..Progress::default() }) {
        match event? {
            Event::Step { progress, loss, .. } => {
                summary.step(progress.epoch, progress.step, &[("loss", loss.f_double_value(&[])?)])?;
            }
            Event::Epoch { progress, scores, .. } => {
                let scores: Vec<_> = scores.into_iter().collect();
                summary.epoch(Stage::Train, progress.epoch, progress.step, &scores)?;
            }
        }
    }
    Ok([start.elapsed().as_secs_f64(), clock.seconds()])
}

fn main() -> Outcome<()> {
    torch_ext::tune_allocator();
    torch_ext::tune_openmp();
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    let root = PathBuf::from(args.next().ok_or("usage: scripts/bench epoch PETS [ROUNDS]")?);
    let rounds: u64 = args.next().map_or(Ok(5), |rounds| rounds.parse())?;
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let per_step = summary::Config { per_step: true, ..Default::default() };
    let mut summaries = ["files", "memory"].map(|name| Summary::open(&folder.path().join(name), &per_step));
    let [Ok(of_files), Ok(of_memory)] = &mut summaries else { return Err("no summary can be written".into()) };
    let [files, memory] = [loader(&root, "none")?, loader(&root, "memory")?];
    let mut trainings = [0, 1].map(|_| Training::new(WIDTH, model::Precision::Bf16, model::Fused::Auto));
    let [Ok(with_files), Ok(with_memory)] = &mut trainings else { return Err("no network".into()) };
    let mut peers = Peers::start("epoch/peers.py", &[root.as_os_str()])?;
    let mut table = Table::new("epoch", "Seconds an epoch", true, &["300 photographs"]);
    let own = table.row("oxiseg, from files", None);
    let rows = [
        own,
        table.row("PyTorch's best with its DataLoader", Some(own)),
        table.row("oxiseg, from the memory cache", None),
    ];
    let mut beside = [Vec::new(), Vec::new()];
    for round in 0..=rounds {
        for i in 0..3 {
            let turn = ((round + i) % 3) as usize;
            let seconds = match (turn, &mut peers) {
                (1, None) => continue,
                (1, Some(peers)) => peers.ask("epoch")?,
                _ => {
                    let (training, input, summary, beside) = match turn {
                        0 => (&mut *with_files, &files, &mut *of_files, &mut beside[0]),
                        _ => (&mut *with_memory, &memory, &mut *of_memory, &mut beside[1]),
                    };
                    let [whole, steps] = epoch(training, input, summary, round)?;
                    beside.push((whole - steps) / whole * 1e2);
                    whole
                }
            };
            table.add(rows[turn], 0, seconds);
        }
        match round {
            0 => {
                table.clear();
                beside.iter_mut().for_each(Vec::clear);
            }
            _ => eprintln!("round {round} of {rounds}, load {}", load()),
        }
    }
    let [of_files, of_memory] = beside.map(|shares| median(&shares));
    table.note(format!(
        "Of an epoch {of_memory:.2} % is spent beside the steps with the memory cache, and {of_files:.2} % from files, where the workers share \
         the processor with the steps."
    ));
    table.publish(folder.path().parent().ok_or("no folder")?)
}
