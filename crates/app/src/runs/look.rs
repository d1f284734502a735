//! One run, as its folder shows it. Nothing in there is changed, and the process that trains it is not disturbed.

use crate::lock::held;
use crate::run::Run;
use checkpoint::{Config, step_of};
use serde::Deserialize;
use serde_json::Value;
use std::fmt;
use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What a training writes in its folder. The lock is not among them: asking a finished run to go on takes that too.
const WRITTEN: [&str; 5] = ["config.json", "metrics.jsonl", "checkpoints", "logs", "rejected"];

/// What a run's folder shows.
#[derive(Debug)]
pub struct Looked {
    /// What it is called in the list.
    pub name: String,
    /// Where it is.
    pub folder: PathBuf,
    /// How it stands.
    pub state: State,
    /// Why it failed; of a run that is under way, what of it cannot be read.
    pub problem: Option<Problem>,
    /// Epochs done.
    pub epoch: u64,
    /// Epochs in all; None where its configuration cannot be read.
    pub epochs: Option<u64>,
    /// Steps done.
    pub step: u64,
    /// Its best epoch, once it has been validated.
    pub best: Option<::report::Best>,
    /// When its training last wrote something.
    pub written: Option<SystemTime>,
    /// The size of all its files.
    pub bytes: u64,
    /// The resolved configuration, if it can be read.
    pub config: Option<Value>,
}

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// A process trains it.
    Running,
    /// No process does, and it can go on from a checkpoint.
    Resumable,
    /// All epochs are done.
    Finished,
    /// It cannot go on.
    Failed,
}

/// What is wrong with a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// One of its files cannot be read, or says nothing that makes sense.
    Unreadable(String),
    /// It stopped before its first checkpoint.
    NoCheckpoint(PathBuf),
    /// It has so many checkpoints, and none is readable.
    Damaged(PathBuf, usize),
}

impl State {
    /// One word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Resumable => "resumable",
            Self::Finished => "finished",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(why) => f.write_str(why),
            Self::NoCheckpoint(folder) => {
                let folder = folder.display();
                write!(f, "stopped before its first checkpoint; to start it once more: app train --run {folder}")
            }
            Self::Damaged(folder, count) => {
                let folder = folder.display();
                write!(
                    f,
                    "none of its {count} checkpoints can be read; to start over: app train --run {folder} --resume never"
                )
            }
        }
    }
}

/// Looks at the run in `folder`, which the list calls `name`.
pub fn look(folder: &Path, name: String) -> Looked {
    // Before the files are read: a run that ends meanwhile is called running rather than broken.
    let held = held(folder);
    let (bytes, written) = size_and_time(folder);
    let (newest, checkpoints) = newest(folder);
    let Mark { epoch, step } = newest.unwrap_or_default();
    let read = ::report::Run::read(folder).map_err(|error| error.to_string());
    let stand = Stand { held, epoch, newest: newest.is_some(), checkpoints };
    let (state, problem) = state(folder, &read, &stand);
    let mut looked = Looked {
        name,
        folder: folder.into(),
        state,
        problem,
        epoch,
        epochs: None,
        step,
        best: None,
        written,
        bytes,
        config: None,
    };
    if let Ok(run) = read {
        looked.epoch = epoch.max(run.history.epochs());
        looked.step = step.max(run.history.steps());
        (looked.epochs, looked.best) = (run.planned(), run.best());
        // In the current format, so that runs of several versions differ only in what they mean.
        let config = Run { folder: folder.into() }.config().and_then(|config| Ok(serde_json::to_value(config)?));
        looked.config = Some(config.unwrap_or(run.config));
    }
    looked
}

/// What decides how a run stands, beside its configuration and history.
struct Stand {
    /// Whether a process holds its lock.
    held: bool,
    /// Epochs done at its newest readable checkpoint.
    epoch: u64,
    /// Whether there is such a checkpoint.
    newest: bool,
    /// Checkpoints, readable or not.
    checkpoints: usize,
}

fn state(folder: &Path, read: &Result<::report::Run, String>, stand: &Stand) -> (State, Option<Problem>) {
    let read = read.as_ref().map_err(Clone::clone).and_then(|run| match run.planned() {
        Some(planned) => Ok(run.history.epochs().max(stand.epoch) >= planned),
        None => Err(format!("{} has no train.epochs", folder.join("config.json").display())),
    });
    match read {
        read if stand.held => (State::Running, read.err().map(Problem::Unreadable)),
        Err(why) => (State::Failed, Some(Problem::Unreadable(why))),
        Ok(true) => (State::Finished, None),
        Ok(false) if stand.newest => (State::Resumable, None),
        Ok(false) if stand.checkpoints > 0 => (State::Failed, Some(Problem::Damaged(folder.into(), stand.checkpoints))),
        Ok(false) => (State::Failed, Some(Problem::NoCheckpoint(folder.into()))),
    }
}

/// How far training had come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
struct Mark {
    epoch: u64,
    step: u64,
}

/// How far the newest checkpoint is whose manifest can be read, and how many checkpoints there are. Their weights are not
/// looked at, which would take a while.
fn newest(folder: &Path) -> (Option<Mark>, usize) {
    #[derive(Deserialize)]
    struct Manifest {
        progress: Mark,
    }
    let all = Run { folder: folder.into() }.store(&Config::default()).list().unwrap_or_default();
    let mark = |path: &PathBuf| {
        let manifest: Manifest =
            serde_json::from_reader(BufReader::new(regular::open(&path.join("manifest.json")).ok()?)).ok()?;
        Some(manifest.progress).filter(|mark| step_of(path) == Some(mark.step))
    };
    (all.iter().rev().find_map(mark), all.len())
}

/// The size of all files of a run, and when its training last wrote one.
fn size_and_time(folder: &Path) -> (u64, Option<SystemTime>) {
    let (mut bytes, mut written) = (0, None);
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (size, time) = walk(&entry.path());
        bytes += size;
        if WRITTEN.iter().any(|name| entry.file_name() == *name) {
            written = written.max(time);
        }
    }
    (bytes, written)
}

/// The size of all files here, and the time of the newest. Links are not followed. What goes away meanwhile, as outdated
/// checkpoints do, has no size.
fn walk(path: &Path) -> (u64, Option<SystemTime>) {
    let Ok(about) = path.symlink_metadata() else { return (0, None) };
    if !about.is_dir() {
        return (about.len(), about.modified().ok());
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .map(|entry| walk(&entry.path()))
        .fold((0, None), |(bytes, time), (more, other)| (bytes + more, time.max(other)))
}

#[cfg(test)]
mod tests;
