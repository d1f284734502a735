//! Examines a run by its folder. Changes nothing in it, and does not disturb the process that trains it.

use crate::common::run::Run;
use checkpoint::{Config, step_of};
use serde::Deserialize;
use serde_json::Value;
use session::{is_held, shell_quoted};
use std::fmt;
use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Files and folders that a training writes. The lock is not among them: asking a finished run to go on takes that,
/// too.
const WRITTEN: [&str; 5] = ["config.json", "metrics.jsonl", "checkpoints", "logs", "rejected"];

/// State of a run, as read from its folder.
#[derive(Debug)]
pub struct Looked {
    /// Name in the list.
    pub name: String,
    /// Path of its folder.
    pub folder: PathBuf,
    /// State of its training.
    pub state: State,
    /// Reason for a failure; for a running one, the error of a file that cannot be read.
    pub problem: Option<Problem>,
    /// Number of epochs done.
    pub epoch: u64,
    /// Total number of epochs; None if its configuration cannot be read.
    pub epochs: Option<u64>,
    /// Number of steps done.
    pub step: u64,
    /// Its best epoch, once it has been validated.
    pub best: Option<::report::Best>,
    /// Time at which its training last wrote something.
    pub written: Option<SystemTime>,
    /// Size of all its files in bytes.
    pub bytes: u64,
    /// Resolved configuration, if it can be read.
    pub config: Option<Value>,
}

/// State of a run's training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// A process trains it.
    Running,
    /// No process trains it, and it can resume from a checkpoint.
    Resumable,
    /// All epochs are done.
    Finished,
    /// It cannot resume.
    Failed,
}

/// Problem of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// One of its files cannot be read, or makes no sense.
    Unreadable(String),
    /// It stopped before its first checkpoint.
    NoCheckpoint(PathBuf),
    /// None of its checkpoints (the number says how many) is readable.
    Damaged(PathBuf, usize),
}

impl State {
    /// Returns the state as one word.
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
                let folder = shell_quoted(folder);
                write!(f, "stopped before its first checkpoint; to start it once more: app train --run {folder}")
            }
            Self::Damaged(folder, count) => {
                let folder = shell_quoted(folder);
                write!(
                    f,
                    "none of its {count} checkpoints can be read; to start over: app train --run {folder} --resume never"
                )
            }
        }
    }
}

/// Examines the run in `folder`, which the list calls `name`.
pub fn look(folder: &Path, name: String) -> Looked {
    // Comes before the files are read: a run that ends meanwhile is called running rather than broken.
    let held = is_held(folder);
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

/// Facts that decide the state of a run, in addition to its configuration and history.
struct Stand {
    /// True if a process holds its lock.
    held: bool,
    /// Number of epochs done at its newest readable checkpoint.
    epoch: u64,
    /// True if there is such a checkpoint.
    newest: bool,
    /// Number of checkpoints, readable or not.
    checkpoints: usize,
}

fn state(folder: &Path, read: &Result<::report::Run, String>, stand: &Stand) -> (State, Option<Problem>) {
    let read = read.as_ref().map_err(Clone::clone).and_then(|run| match run.planned() {
        Some(planned) => Ok(stand.epoch >= planned || run.is_finished().unwrap_or(false)),
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

/// Progress of a training.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
struct Mark {
    epoch: u64,
    step: u64,
}

/// Returns the progress of the newest checkpoint whose manifest can be read, and the number of checkpoints. Does not
/// look at their weights, which would take a while.
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

/// Returns the size of all files of a run, and the time at which its training last wrote one.
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

/// Returns the size of all files below `path`, and the time of the newest. Does not follow links. Files that vanish
/// meanwhile, such as outdated checkpoints, have no size.
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
