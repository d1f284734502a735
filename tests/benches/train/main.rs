//! Time of a training step, and the time to the first one. `scripts/bench train` and `scripts/bench startup` build and
//! run this, and list the measurements.
//!
//! All contestants take turns in every round, on the same weights and the same batch. Every round begins with another
//! one. The first round warms up and does not count. Before that, each has to reproduce oxiseg's loss in its precision.

#[path = "../common/mod.rs"]
mod common;

use common::training::{Task, Training, matmul_peak, noise};
use common::{Outcome, Peers, Table, load, median, processor};
use contract::Batch;
use model::{Fused, Precision};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use tch::Kind;

const TASKS: [Task; 3] = [
    Task { name: "w32-128", width: 32, side: 128, images: 8 },
    Task { name: "w32-256", width: 32, side: 256, images: 4 },
    Task { name: "w64-128", width: 64, side: 128, images: 4 },
];

/// Number of steps of a turn.
const STEPS: usize = 3;

/// oxiseg with a choice of kernels, or a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Contestant {
    Bf16,
    Winograd,
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
const CONTESTANTS: [Contestant; 10] =
    [Bf16, Winograd, Unfused, TorchBest, TorchTuned, TorchCompile, Keras, Fp32, TorchBestFp32, Torch];

impl Contestant {
    /// Returns its name in the table, and its name for Python.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Bf16 => ("oxiseg, bf16", ""),
            Winograd => ("oxiseg, bf16, `fused: on`", ""),
            Unfused => ("oxiseg, bf16, `fused: off`", ""),
            TorchBest => ("PyTorch's best, bf16", "torch-best"),
            TorchTuned => ("PyTorch's best, allocator tuned", "torch-tuned"),
            TorchCompile => ("PyTorch's best, `torch.compile`", "torch-compile"),
            Keras => ("Keras, mixed_bfloat16", "keras"),
            Fp32 => ("oxiseg, fp32", ""),
            TorchBestFp32 => ("PyTorch's best, fp32", "torch-best-fp32"),
            Torch => ("PyTorch as written, fp32", "torch"),
        }
    }

    fn is_peer(self) -> bool {
        !self.names().1.is_empty()
    }

    fn precision(self) -> Precision {
        if matches!(self, Fp32 | TorchBestFp32 | Torch) { Precision::Fp32 } else { Precision::Bf16 }
    }

    /// Returns the contestant that it is compared with. PyTorch as written asks for no precision: it is compared with
    /// the one we advise.
    fn against(self) -> Option<Self> {
        match self {
            Bf16 | Fp32 => None,
            TorchBestFp32 => Some(Fp32),
            _ => Some(Bf16),
        }
    }

    /// Returns the relative tolerance of the first loss.
    fn tolerance(self) -> f64 {
        if self.precision() == Precision::Fp32 { 1e-5 } else { 1e-3 }
    }

    fn training(self, task: Task) -> Outcome<Training> {
        let fused = match self {
            Unfused => Fused::Off,
            Winograd => Fused::On,
            _ => Fused::Auto,
        };
        Training::new(task.width, self.precision(), fused)
    }
}

/// Returns the median seconds of a step.
fn steps(training: &mut Training, batch: &Batch) -> Outcome<f64> {
    let mut seconds = Vec::new();
    for _ in 0..STEPS {
        let start = Instant::now();
        training.step(batch)?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    Ok(median(&seconds))
}

/// Returns oxiseg's contestants and the peers named in `PEERS` (all if it is unset). If `PRECISION` is set, returns
/// only those of that precision.
fn contestants() -> Outcome<Vec<Contestant>> {
    let only = match std::env::var("PRECISION").unwrap_or_default().as_str() {
        "" => None,
        "bf16" => Some(Precision::Bf16),
        "fp32" => Some(Precision::Fp32),
        other => return Err(format!("PRECISION={other}: bf16 or fp32").into()),
    };
    let chosen = std::env::var("PEERS").unwrap_or_default();
    let wanted = |contestant: &Contestant| {
        chosen.is_empty() || !contestant.is_peer() || chosen.split(',').any(|name| name == contestant.names().1)
    };
    let right = |contestant: &Contestant| only.is_none_or(|only| contestant.precision() == only);
    // With AMX, `fused: on` differs from `auto`, so it is a contestant of its own.
    let other = |contestant: &Contestant| *contestant != Winograd || torch_ext::has_amx();
    Ok(CONTESTANTS.into_iter().filter(wanted).filter(right).filter(other).collect())
}

fn main() -> Outcome<()> {
    torch_ext::tune_allocator();
    torch_ext::tune_openmp();
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    let what = args.next().ok_or("usage: scripts/bench train|startup [FOLDER [ROUNDS]]")?;
    match what.as_str() {
        "once" => return once(),
        "profile" => return profile(args.next().as_deref() == Some("fp32")),
        _ => {}
    }
    let parent = PathBuf::from(args.next().ok_or("no folder was given")?);
    let rounds: usize = args.next().map_or(Ok(5), |rounds| rounds.parse())?;
    let folder = tempfile::tempdir_in(&parent)?;
    let batches = TASKS.map(noise);
    for (task, batch) in TASKS.into_iter().zip(&batches) {
        Bf16.training(task)?.write(batch, &folder.path().join(task.name))?;
    }
    let table = match what.as_str() {
        "startup" => startup(folder.path(), rounds)?,
        _ => train(folder.path(), rounds, &batches)?,
    };
    table.publish(&parent)
}

fn train(folder: &Path, rounds: usize, batches: &[Batch]) -> Outcome<Table> {
    let contestants = contestants()?;
    let (mut own, mut peers) = (BTreeMap::new(), BTreeMap::new());
    for &contestant in &contestants {
        if contestant.is_peer() {
            let arguments = [contestant.names().1.as_ref(), folder.as_os_str()];
            if let Some(peer) = Peers::start("train/peers.py", &arguments)? {
                peers.insert(contestant, peer);
            }
        } else {
            for task in TASKS {
                own.insert((contestant, task.name), contestant.training(task)?);
            }
        }
    }
    for (task, batch) in TASKS.into_iter().zip(batches) {
        for &contestant in &contestants {
            let loss = match (peers.get_mut(&contestant), own.get_mut(&(contestant, task.name))) {
                (Some(peer), _) => peer.ask(&format!("loss {}", task.name))?,
                (None, Some(training)) => training.step(batch)?,
                _ => continue,
            };
            let reference = if contestant.precision() == Precision::Fp32 { Fp32 } else { Bf16 };
            let expected = reference.training(task)?.step(batch)?;
            eprintln!("{} {:32} first loss {loss:.6}, expected {expected:.6}", task.name, contestant.names().0);
            if (loss - expected).abs() > contestant.tolerance() * expected {
                return Err(format!("{contestant:?} has another first loss than expected").into());
            }
        }
    }
    let mut table = Table::new("train", "Milliseconds a step", true, &TASKS.map(|task| task.name));
    let mut rows = BTreeMap::new();
    for &contestant in &contestants {
        let against = contestant.against().and_then(|other| rows.get(&other).copied());
        rows.insert(contestant, table.row(contestant.names().0, against));
    }
    let mut peak = 0.0f64;
    for round in 0..=rounds {
        for (number, (task, batch)) in TASKS.into_iter().zip(batches).enumerate() {
            for i in 0..contestants.len() {
                let contestant = contestants[(round + i) % contestants.len()];
                let seconds = match (peers.get_mut(&contestant), own.get_mut(&(contestant, task.name))) {
                    (Some(peer), _) => peer.ask(&format!("step {} {STEPS}", task.name))?,
                    (None, Some(training)) => steps(training, batch)?,
                    _ => continue,
                };
                table.add(rows[&contestant], number, seconds * 1e3);
            }
        }
        peak = peak.max(matmul_peak(Kind::BFloat16)?);
        match round {
            0 => table.clear(),
            _ => eprintln!("round {round} of {rounds}, load {}", load()),
        }
    }
    let Some(&bf16) = rows.get(&Bf16) else { return Ok(table) };
    table.note(format!(
        "libtorch's matrix product, 2048³ in bf16: {peak:.0} GFLOP/s. The convolutions, by their definition,"
    ));
    for (number, task) in TASKS.into_iter().enumerate() {
        let rate = task.gflop() / table.median(bf16, number) * 1e3;
        let (name, gflop, share) = (task.name, task.gflop(), rate / peak);
        table.note(format!(
            "are {gflop:.1} GFLOP a step of {name}: {rate:.0} GFLOP/s over a whole step, {share:.2} of that;"
        ));
    }
    Ok(table)
}

/// Measures the time from process start to the first finished step, and the peak memory of three steps.
fn startup(folder: &Path, rounds: usize) -> Outcome<Table> {
    let mut table = Table::new("startup", "Seconds and MB", true, &["first step", "memory"]);
    let mut rows = BTreeMap::new();
    for contestant in [Bf16, TorchBest, Keras] {
        if contestant.is_peer() && std::env::var_os("PYTHON").is_none() {
            eprintln!("SKIPPED: {contestant:?}: there is no Python with its packages (set PYTHON)");
            continue;
        }
        let against = rows.get(&Bf16).copied();
        rows.insert(contestant, table.row(contestant.names().0, against));
    }
    for round in 0..=rounds {
        for (contestant, row) in &rows {
            let mut command = match std::env::var_os("PYTHON") {
                Some(python) if contestant.is_peer() => {
                    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/train/peers.py");
                    let mut peer = Command::new(python);
                    peer.arg(script).arg(contestant.names().1).arg(folder).arg(TASKS[0].name);
                    peer
                }
                _ => {
                    let mut own = Command::new(std::env::current_exe()?);
                    own.arg("once");
                    own
                }
            };
            let start = Instant::now();
            let mut process = command.stdout(Stdio::piped()).spawn()?;
            let mut said = BufReader::new(process.stdout.take().ok_or("no way to hear it")?).lines();
            said.next().ok_or("it said nothing")??;
            table.add(*row, 0, start.elapsed().as_secs_f64());
            table.add(*row, 1, said.next().ok_or("it said no more")??.parse()?);
            process.wait()?;
        }
        if round == 0 {
            table.clear();
        }
    }
    Ok(table)
}

/// Runs in the process that `startup` starts: makes a step, reports it, makes two more, and prints the peak memory of
/// the process in MB.
fn once() -> Outcome<()> {
    let (mut training, batch) = (Bf16.training(TASKS[0])?, noise(TASKS[0]));
    training.step(&batch)?;
    println!("stepped");
    training.step(&batch)?;
    training.step(&batch)?;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    println!("{}", line.trim().trim_end_matches("kB").trim().parse::<f64>()? / 1024.0);
    Ok(())
}

/// Prints the share of each operator in the time of oxiseg's step.
fn profile(fp32: bool) -> Outcome<()> {
    for task in TASKS {
        let (mut training, batch) = (if fp32 { Fp32 } else { Bf16 }.training(task)?, noise(task));
        (0..3).try_for_each(|_| training.step(&batch).map(drop))?;
        let (mut of_each, mut whole) = (BTreeMap::<String, (f64, u32)>::new(), 0.0);
        for _ in 0..5 {
            let operators = torch_ext::Operators::watch()?;
            let start = Instant::now();
            training.step(&batch)?;
            whole += start.elapsed().as_secs_f64() / 5.0;
            for operator in operators.seen() {
                let (seconds, calls) = of_each.entry(operator.name).or_default();
                *seconds += operator.seconds / 5.0;
                *calls += 1;
            }
        }
        println!("{} {:.0} ms a step, load {}, {}", task.name, whole * 1e3, load(), processor());
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
