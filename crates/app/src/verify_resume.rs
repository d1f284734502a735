//! `app verify-resume`: tests exact resume on the user's own configuration and machine.
//!
//! One training runs undisturbed, another is killed (SIGKILL, as a power cut would) at random places and started again
//! until it is through. Then every tensor of their last checkpoints and every line of their `metrics.jsonl` is
//! compared.

use crate::cli;
use crate::common::config::Config;
use crate::common::output;
use crate::common::run::Run;
use crate::common::usage::usage;
use anyhow::{Context, Result, bail, ensure};
use checkpoint::Snapshot;
use serde_json::Value;
use session::RESUMABLE;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tch::Tensor;

/// Interval between two looks at the run that is to be killed.
const POLL: Duration = Duration::from_millis(2);
/// Maximum number of differing tensors listed.
const MOST_DIFFERING: usize = 10;
/// Scalars that an interruption may change, in addition to all seconds.
const HOW: [&str; 3] = ["images_per_second", "memory_mb", "gradient_norm"];

/// `app verify-resume`
pub fn run(args: &cli::VerifyResume) -> Result<ExitCode> {
    // Checkpoints are frequent enough for a killed run to get on, and every step is logged.
    let every = (args.steps / 10).max(1);
    let config = Config::given(args.config.as_deref(), &args.set, None)?.with(&[
        "summary.per_step=true".into(),
        format!("checkpoint.every_steps={every}"),
        "checkpoint.keep_last=2".into(),
    ])?;
    if args.folder.exists() {
        return Err(usage(format!("{} is there already: remove it, or name another --folder", args.folder.display())));
    }
    fs::create_dir_all(&args.folder).with_context(|| format!("making {}", args.folder.display()))?;
    let file = args.folder.join("config.json");
    fs::write(&file, config.resolved()?).with_context(|| format!("writing {}", file.display()))?;
    let trial = Trial { file: &file, steps: args.steps };

    let (straight, interrupted) = (args.folder.join("straight"), args.folder.join("interrupted"));
    let since = Instant::now();
    trial.finish(&straight)?;
    let time = since.elapsed();
    log::info!("{} steps without a stop: {:.1} s", args.steps, time.as_secs_f64());
    let mut random = Random(args.seed);
    let mut places: Vec<u64> = (0..args.interrupts).map(|_| random.below(args.steps)).collect();
    places.sort_unstable();
    for (kill, at) in (1..).zip(places) {
        // At a random time within the step, or within the whole time for a kill at the start.
        let whole = if at == 0 { time } else { time / u32::try_from(args.steps)? };
        trial.kill_at(&interrupted, at, whole.mul_f64(random.below(1000) as f64 / 1000.0))?;
        log::info!(
            "Kill {kill} of {}: {}",
            args.interrupts,
            if at == 0 { "at its start".into() } else { format!("after step {at}") }
        );
    }
    trial.finish(&interrupted)?;

    let (table, same) = compare(&straight, &interrupted)?;
    output::print(&table)?;
    if !same {
        log::error!("Resuming is NOT exact here; both runs are kept in {}", args.folder.display());
        return Ok(ExitCode::FAILURE);
    }
    output::print(&format!("Killed {} times and resumed: the same to the bit.", args.interrupts))?;
    fs::remove_dir_all(&args.folder).with_context(|| format!("removing {}", args.folder.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// A training that is started repeatedly.
struct Trial<'t> {
    file: &'t Path,
    steps: u64,
}

impl Trial<'_> {
    fn start(&self, run: &Path) -> Result<Child> {
        let mut command = Command::new(std::env::current_exe().context("finding this program")?);
        command.args(["train", "--until-step", &self.steps.to_string(), "--config"]).arg(self.file);
        command.arg("--run").arg(run).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.env("RUST_LOG", "error").spawn().context("starting a training")
    }

    /// Trains to the last step.
    fn finish(&self, run: &Path) -> Result<()> {
        let output = self.start(run)?.wait_with_output().context("waiting for a training")?;
        // The status is 0 if the configuration itself ends before that step.
        if ![Some(0), Some(RESUMABLE.into())].contains(&output.status.code()) {
            bail!("a training ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    /// Kills a training `delay` after it wrote down step `at`, or after its start for 0.
    fn kill_at(&self, run: &Path, at: u64, delay: Duration) -> Result<()> {
        let mut child = self.start(run)?;
        let lines = run.join("metrics.jsonl");
        while at > 0 && last_step(&lines) < Some(at) {
            if child.try_wait().context("waiting for a training")?.is_some() {
                break;
            }
            sleep(POLL);
        }
        sleep(delay);
        child.kill().context("killing a training")?;
        child.wait().context("waiting for a training")?;
        Ok(())
    }
}

/// Returns the last step in `metrics.jsonl`, whose last line may be half written.
fn last_step(lines: &Path) -> Option<u64> {
    let text = regular::open(lines).and_then(io::read_to_string).ok()?;
    text.lines().rev().find_map(|line| serde_json::from_str::<Value>(line).ok()?.get("step")?.as_u64())
}

/// Linear congruential generator (Knuth's MMIX) that returns the high half: good enough for places.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Compares the last checkpoints and the lines of two runs. Returns a table, and whether all is the same.
fn compare(a: &Path, b: &Path) -> Result<(String, bool)> {
    let last = |folder: &Path| -> Result<Snapshot> {
        let run = Run { folder: folder.into() };
        let (found, _) = run.store(&checkpoint::Config::default()).newest()?;
        Ok(found.with_context(|| format!("{} holds no checkpoint", folder.display()))?.1)
    };
    let (left, right) = (last(a)?, last(b)?);
    let mut rows = vec![format!("{:<12} {:>8} {:>10}  hash of all (BLAKE3)", "part", "tensors", "the same")];
    let mut same = left.progress == right.progress;
    rows.extend((!same).then(|| format!("progress     {:?} and {:?}", left.progress, right.progress)));
    let mut differing = Vec::new();
    for part in left.states.keys().chain(right.states.keys()).collect::<BTreeSet<_>>() {
        let (left, right) = (left.states.get(part), right.states.get(part));
        let names = |state: Option<&contract::StateDict>| {
            state.into_iter().flat_map(|state| state.keys().cloned()).collect::<BTreeSet<_>>()
        };
        let all: BTreeSet<String> = names(left).union(&names(right)).cloned().collect();
        let mut together = blake3::Hasher::new();
        let mut equal = 0;
        for name in &all {
            let [left, right] = [left, right].map(|state| state.and_then(|state| state.get(name)).map(hash));
            let (left, right) = (left.transpose()?, right.transpose()?);
            together.update(left.as_ref().map_or(&[], |hash| hash.as_bytes()));
            if left == right {
                equal += 1;
            } else {
                differing.push(format!("differs: {part} {name}"));
            }
        }
        same &= equal == all.len();
        rows.push(format!("{part:<12} {:>8} {equal:>10}  {}", all.len(), &together.finalize().to_hex()[..16]));
    }
    let (left, right) = (lines(a)?, lines(b)?);
    let equal = left.iter().zip(&right).filter(|(left, right)| left == right).count();
    rows.push(format!(
        "{:<12} {:>8} {equal:>10}  (lines of metrics.jsonl, times aside)",
        "metrics",
        left.len().max(right.len())
    ));
    same &= left == right;
    let more = differing.len().saturating_sub(MOST_DIFFERING);
    rows.extend(differing.into_iter().take(MOST_DIFFERING));
    rows.extend((more > 0).then(|| format!("and {more} more")));
    Ok((rows.join("\n"), same))
}

fn hash(tensor: &Tensor) -> Result<blake3::Hash> {
    let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
    tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(format!("{:?} {:?}", tensor.kind(), tensor.size()).as_bytes()).update(&bytes);
    Ok(hasher.finalize())
}

fn lines(run: &Path) -> Result<Vec<Value>> {
    let path = run.join("metrics.jsonl");
    let text =
        regular::open(&path).and_then(io::read_to_string).with_context(|| format!("reading {}", path.display()))?;
    let line = |line: &str| -> Result<Value> {
        let mut value: Value = serde_json::from_str(line).with_context(|| format!("a line of {}", path.display()))?;
        let object = value.as_object_mut().with_context(|| format!("a line of {} is no object", path.display()))?;
        ensure!(object.remove("time").is_some(), "a line of {} has no time", path.display());
        // Speed is no result; the mean norm is that since the run resumed.
        object.retain(|key, _| !key.starts_with("seconds/") && !HOW.contains(&key.as_str()));
        Ok(value)
    };
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests;
