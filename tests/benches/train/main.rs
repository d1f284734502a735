//! How long a training step takes, and the way to the first one: `scripts/bench train` builds and runs this, and says what is
//! measured.
//!
//! All contestants take turns in every round, on the same weights and the same batch, and begin with another one in every round.
//! The first round warms up and does not count. Before that each has to give the loss that oxiseg gives in its precision.

#[path = "../common/mod.rs"]
mod common;

use common::{Outcome, Peers, load, median};
use contract::{Batch, Stateful};
use executors::Trainer;
use metric::Segmentation;
use optim::Optim;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use tch::nn::{ModuleT, VarStore};
use tch::{Device, Kind, Tensor};

/// Name, width of the UNet of depth 4, side of the images in pixels, images at once.
const TASKS: [(&str, i64, i64, i64); 3] = [("w32-128", 32, 128, 8), ("w32-256", 32, 256, 4), ("w64-128", 64, 128, 4)];

const CLASSES: i64 = 3;

/// Steps of a turn.
const STEPS: usize = 3;

/// Who trains: oxiseg, or who else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Contestant {
    Bf16,
    Unfused,
    TorchBest,
    TorchTuned,
    TorchCompile,
    Keras,
    Fp32,
    TorchBestFp32,
    Torch,
}

use Contestant::*;

/// Those that are there unless others are named.
const CONTESTANTS: [Contestant; 9] =
    [Bf16, Unfused, TorchBest, TorchTuned, TorchCompile, Keras, Fp32, TorchBestFp32, Torch];

impl Contestant {
    /// What it is called, and as what Python knows it.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Bf16 => ("oxiseg, bf16", ""),
            Unfused => ("the same, fused: false", ""),
            Fp32 => ("oxiseg, fp32", ""),
            TorchBest => ("PyTorch's best, bf16", "torch-best"),
            TorchTuned => ("the same, allocator tuned", "torch-tuned"),
            TorchCompile => ("the same, torch.compile", "torch-compile"),
            Keras => ("Keras, mixed_bfloat16", "keras"),
            TorchBestFp32 => ("PyTorch's best, fp32", "torch-best-fp32"),
            Torch => ("PyTorch as written, fp32", "torch"),
        }
    }

    /// What a first loss may differ by.
    fn tolerance(self) -> f64 {
        if matches!(self, Fp32 | TorchBestFp32 | Torch) { 1e-5 } else { 1e-3 }
    }
}

/// A UNet in training on one batch.
struct Training {
    store: VarStore,
    model: Box<dyn ModuleT>,
    loss_fn: loss::Sum,
    optimizer: Optim,
    metric: Segmentation,
    batch: Batch,
}

impl Training {
    fn new((_, width, side, images): (&str, i64, i64, i64), contestant: Contestant) -> Outcome<Self> {
        let precision = if contestant == Fp32 { model::Precision::Fp32 } else { model::Precision::Bf16 };
        let fused = contestant != Unfused;
        let store = VarStore::new(Device::Cpu);
        tch::manual_seed(1);
        let common = model::Common { precision, fused, ..Default::default() };
        let config = model::Config::Unet(model::UNetConfig { width, common, ..Default::default() });
        let model = config.build(&store, 3, CLASSES)?;
        let parameters: BTreeMap<_, _> = store.variables().into_iter().filter(|(_, v)| v.requires_grad()).collect();
        let schedule = optim::Schedule::default();
        let optimizer = optim::Config::default().build(parameters.into_iter().collect(), schedule, 1_000_000, 1)?;
        let batch = Batch {
            inputs: Tensor::rand([images, 3, side, side], (Kind::Float, Device::Cpu)),
            targets: Tensor::randint(CLASSES, [images, side, side], (Kind::Int64, Device::Cpu)),
            names: (0..images).map(|number| number.to_string()).collect(),
        };
        let metric = Segmentation::new(vec!["a".into(), "b".into(), "c".into()], Device::Cpu)?;
        Ok(Self { store, model, loss_fn: loss::Config::default().build(Device::Cpu)?, optimizer, metric, batch })
    }

    /// What the peers begin with.
    fn write(&self, folder: &Path) -> Outcome<()> {
        std::fs::create_dir(folder)?;
        let weights: Vec<_> =
            self.store.state().into_iter().map(|(name, tensor)| (name, tensor.contiguous())).collect();
        Tensor::write_npz(&weights, folder.join("weights.npz"))?;
        self.batch.inputs.contiguous().write_npy(folder.join("images.npy"))?;
        Ok(self.batch.targets.write_npy(folder.join("targets.npy"))?)
    }

    /// A step of the Trainer and its loss.
    fn step(&mut self) -> Outcome<f64> {
        let input = NoInput;
        let Self { model, loss_fn, optimizer, metric, batch, .. } = self;
        let (loss, _) = Trainer::new(model.as_ref(), &input, loss_fn, optimizer, metric, 1).train_step(batch)?;
        Ok(loss.f_double_value(&[])?)
    }

    fn steps(&mut self) -> Outcome<f64> {
        let mut seconds = Vec::new();
        for _ in 0..STEPS {
            let start = Instant::now();
            self.step()?;
            seconds.push(start.elapsed().as_secs_f64());
        }
        Ok(median(&seconds))
    }
}

/// The batches are given by hand.
struct NoInput;

impl contract::Input for NoInput {
    fn len(&self) -> u64 {
        0
    }

    fn epoch(&self, _epoch: u64, _skip: u64) -> contract::Batches<'_> {
        Box::new(std::iter::empty())
    }
}

/// From the start of the program to the end of its first step, and the most memory that it had, in MB.
fn startup(mut command: Command) -> Outcome<(f64, f64)> {
    let start = Instant::now();
    let mut process = command.stdout(Stdio::piped()).spawn()?;
    let mut said = String::new();
    process.stdout.take().ok_or("no way to hear it")?.read_to_string(&mut said)?;
    process.wait()?;
    let megabytes = said.lines().last().and_then(|line| line.parse().ok()).ok_or(format!("it said {said:?}"))?;
    Ok((start.elapsed().as_secs_f64(), megabytes))
}

/// The peak of this process's memory in MB.
fn peak() -> Outcome<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<f64>()? / 1024.0)
}

fn main() -> Outcome<()> {
    torch_ext::tune_allocator();
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    let parent = args.next().ok_or("usage: scripts/bench train [FOLDER [ROUNDS]]")?;
    if parent == "once" {
        Training::new(TASKS[0], Bf16)?.step()?;
        println!("{}", peak()?);
        return Ok(());
    }
    if parent == "profile" {
        return profile(args.next().as_deref().unwrap_or("bf16"));
    }
    let rounds: usize = args.next().map_or(Ok(5), |rounds| rounds.parse())?;
    let folder = tempfile::tempdir_in(parent)?;
    let mut own = BTreeMap::new();
    for task in TASKS {
        for contestant in [Bf16, Unfused, Fp32] {
            let training = Training::new(task, contestant)?;
            if contestant == Bf16 {
                training.write(&folder.path().join(task.0))?;
            }
            own.insert((task.0, contestant), training);
        }
    }
    let chosen = std::env::var("PEERS").unwrap_or_default();
    let wanted = |contestant: &Contestant| {
        chosen.is_empty()
            || contestant.names().1.is_empty()
            || chosen.split(',').any(|name| name == contestant.names().1)
    };
    let contestants: Vec<Contestant> = CONTESTANTS.into_iter().filter(wanted).collect();
    let mut peers = BTreeMap::new();
    for &contestant in contestants.iter().filter(|contestant| !contestant.names().1.is_empty()) {
        let arguments = [contestant.names().1.as_ref(), folder.path().as_os_str()];
        if let Some(peer) = Peers::start("train/peers.py", &arguments)? {
            peers.insert(contestant, peer);
        }
    }
    for (task, ..) in TASKS {
        for &contestant in &contestants {
            let reference = if contestant.tolerance() < 1e-4 { Fp32 } else { Bf16 };
            let loss = match (peers.get_mut(&contestant), own.get_mut(&(task, contestant))) {
                (Some(peer), _) => peer.ask(&format!("loss {task}"))?,
                (None, Some(training)) => training.step()?,
                _ => continue,
            };
            let known = TASKS.iter().find(|known| known.0 == task).ok_or("no task")?;
            let expected = Training::new(*known, reference)?.step()?;
            eprintln!("{task} {:28} first loss {loss:.6}, {expected:.6} expected", contestant.names().0);
            if (loss - expected).abs() > contestant.tolerance() * expected {
                return Err(
                    format!("{contestant:?} trains something else: its first loss is {loss}, not {expected}").into()
                );
            }
        }
    }
    let mut measured: BTreeMap<(&str, Contestant), Vec<f64>> = BTreeMap::new();
    for round in 0..=rounds {
        for (task, ..) in TASKS {
            for i in 0..contestants.len() {
                let contestant = contestants[(round + i) % contestants.len()];
                let seconds = match (peers.get_mut(&contestant), own.get_mut(&(task, contestant))) {
                    (Some(peer), _) => peer.ask(&format!("step {task} {STEPS}"))?,
                    (None, Some(training)) => training.steps()?,
                    _ => continue,
                };
                measured.entry((task, contestant)).or_default().push(seconds);
            }
        }
        match round {
            0 => measured.clear(),
            _ => eprintln!("round {round} of {rounds}, load {}", load()),
        }
    }
    println!(
        "ms a step, {rounds} rounds, load {}; median (range), and how many times oxiseg is faster in that precision:",
        load()
    );
    for ((task, contestant), seconds) in &measured {
        let (low, high) = seconds.iter().fold((f64::MAX, f64::MIN), |(l, h), &v| (l.min(v), h.max(v)));
        let own = measured.get(&(*task, if contestant.tolerance() < 1e-4 { Fp32 } else { Bf16 }));
        let ratio = own.filter(|_| !contestant.names().1.is_empty()).map_or(String::new(), |own| {
            format!("{:.2}x", median(&own.iter().zip(seconds).map(|(own, peer)| peer / own).collect::<Vec<f64>>()))
        });
        let [median, low, high] = [median(seconds), low, high].map(|seconds| seconds * 1e3);
        println!("{task:8} {:28} {median:>7.0} ({low:.0} to {high:.0}) {ratio}", contestant.names().0);
    }
    drop(peers);
    start_all(&contestants, folder.path(), rounds)
}

/// Where the time of oxiseg's own step goes, by operator.
fn profile(precision: &str) -> Outcome<()> {
    let contestant = if precision == "fp32" { Fp32 } else { Bf16 };
    for task in TASKS {
        let mut training = Training::new(task, contestant)?;
        (0..3).try_for_each(|_| training.step().map(drop))?;
        let (mut of_each, mut whole) = (BTreeMap::<String, (f64, u32)>::new(), 0.0);
        for _ in 0..5 {
            let operators = torch_ext::Operators::watch()?;
            let start = Instant::now();
            training.step()?;
            whole += start.elapsed().as_secs_f64() / 5.0;
            for operator in operators.seen() {
                let (seconds, calls) = of_each.entry(operator.name).or_default();
                *seconds += operator.seconds / 5.0;
                *calls += 1;
            }
        }
        println!("{} {:.0} ms a step, load {}", task.0, whole * 1e3, load());
        let mut all: Vec<_> = of_each.into_iter().collect();
        all.sort_by(|(_, a), (_, b)| b.0.total_cmp(&a.0));
        let known: f64 = all.iter().map(|(_, (seconds, _))| seconds).sum();
        for (name, (seconds, calls)) in all.iter().take(14) {
            println!("  {:5.1} % {:7.1} ms {:4} x {name}", seconds / whole * 1e2, seconds * 1e3, calls / 5);
        }
        println!("  {:5.1} % between operators", (1.0 - known / whole) * 1e2);
    }
    Ok(())
}

/// From nothing to the first finished step.
fn start_all(contestants: &[Contestant], folder: &Path, rounds: usize) -> Outcome<()> {
    let mut measured: BTreeMap<Contestant, Vec<(f64, f64)>> = BTreeMap::new();
    for _ in 0..=rounds {
        for &contestant in contestants.iter().filter(|contestant| matches!(contestant, Bf16 | TorchBest | Keras)) {
            let command = if contestant == Bf16 {
                let mut own = Command::new(std::env::current_exe()?);
                own.arg("once");
                own
            } else {
                let Ok(python) = std::env::var("PYTHON") else { continue };
                let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/train/peers.py");
                let mut peer = Command::new(python);
                peer.arg(script).arg(contestant.names().1).arg(folder).arg(TASKS[0].0);
                peer
            };
            measured.entry(contestant).or_default().push(startup(command)?);
        }
    }
    println!("from the start to the end of the first step of {}: seconds, peak MB", TASKS[0].0);
    for (contestant, all) in &measured {
        let of = |part: fn(&(f64, f64)) -> f64| median(&all[1..].iter().map(part).collect::<Vec<f64>>());
        println!("{:28} {:.2} s {:>6.0} MB", contestant.names().0, of(|one| one.0), of(|one| one.1));
    }
    Ok(())
}
