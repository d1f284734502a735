//! A run folder: `config.json`, `checkpoints/`, `logs/`, `metrics.jsonl`.

use crate::config::Config;
use crate::files::publish;
use crate::usage::usage;
use anyhow::{Context, Result};
use checkpoint::{Found, Snapshot, Store};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Where runs are kept unless a person says otherwise.
pub const RUNS: &str = "runs";

/// A run folder.
#[derive(Debug, Clone)]
pub struct Run {
    /// The folder.
    pub folder: PathBuf,
}

impl Run {
    /// The folder `runs/NAME`.
    pub fn named(name: &str) -> Self {
        Self { folder: Path::new(RUNS).join(name) }
    }

    /// The folder that a person named, or the run under `runs/` that last wrote a checkpoint.
    pub fn trained(folder: Option<&Path>) -> Result<Self> {
        match folder {
            Some(folder) => Ok(Self { folder: folder.into() }),
            None => Self::newest()?.ok_or_else(|| {
                usage("no run under runs/ holds a checkpoint: train one (app train), or name one with --run")
            }),
        }
    }

    fn newest() -> Result<Option<Self>> {
        let folders = match fs::read_dir(RUNS) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            entries => entries.with_context(|| format!("reading {RUNS}"))?.flatten().map(|entry| entry.path()),
        };
        let (mut newest, mut unreadable) = (None, None);
        for run in folders.map(|folder| Self { folder }) {
            match run.saved_at() {
                Ok(at) => newest = newest.max(at.map(|at| (at, run.folder))),
                Err(error) => unreadable = Some((error, run.folder)),
            }
        }
        match (newest, unreadable) {
            (None, Some((error, folder))) => Err(error).with_context(|| format!("reading {}", folder.display())),
            (newest, _) => Ok(newest.map(|(_, folder)| Self { folder })),
        }
    }

    /// When the run last published a checkpoint; None where it has none, or where this is no run.
    fn saved_at(&self) -> io::Result<Option<SystemTime>> {
        let none = |error: io::Error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => Ok(None),
            _ => Err(error),
        };
        if let Err(error) = self.config_file().metadata() {
            return none(error);
        }
        let entries = match fs::read_dir(self.checkpoints()) {
            Ok(entries) => entries.flatten(),
            Err(error) => return none(error),
        };
        let published = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("step-"));
        Ok(published.filter_map(|entry| entry.metadata().ok()?.modified().ok()).max())
    }

    fn config_file(&self) -> PathBuf {
        self.folder.join("config.json")
    }

    /// Where its scalars are written down.
    pub fn metrics(&self) -> PathBuf {
        self.folder.join("metrics.jsonl")
    }

    fn checkpoints(&self) -> PathBuf {
        self.folder.join("checkpoints")
    }

    /// Whether training has begun here. What cannot be looked at counts: it is not free, and reading it says why.
    pub fn exists(&self) -> bool {
        self.config_file().try_exists().unwrap_or(true)
    }

    /// Whether the folder is there. A file in its place is an error, and so is a folder that may not be looked at.
    pub fn is_there(&self) -> Result<bool> {
        let folder = self.folder.display();
        match fs::metadata(&self.folder) {
            Ok(about) if about.is_dir() => Ok(true),
            Ok(_) => Err(usage(format!("{folder} is no run folder: it is a file; name a folder with --run"))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error).with_context(|| format!("looking for the run folder {folder}")),
        }
    }

    /// The configuration of the run.
    pub fn config(&self) -> Result<Config> {
        let folder = self.folder.display();
        if !self.is_there()? {
            return Err(usage(format!("{folder} is no run folder: there is none of that name (app runs lists runs)")));
        }
        if !self.exists() {
            return Err(usage(format!("{folder} is no run folder: it holds no config.json")));
        }
        Config::read_saved(&self.config_file())
    }

    /// Makes the folder.
    pub fn create(&self) -> Result<()> {
        fs::create_dir_all(&self.folder).with_context(|| format!("making {}", self.folder.display()))
    }

    /// Writes the resolved configuration.
    pub fn keep(&self, config: &Config) -> Result<()> {
        publish(&self.config_file(), config.resolved()?.as_bytes())
    }

    /// The checkpoints of the run.
    pub fn store(&self, config: &checkpoint::Config) -> Store {
        Store::new(self.checkpoints(), config)
    }

    /// Where batches are kept that were refused, each with the weights it met.
    pub fn rejected(&self) -> PathBuf {
        self.folder.join("rejected")
    }

    /// Renames the folder to the first free `NAME.1`, `NAME.2`, …
    pub fn move_aside(&self) -> Result<()> {
        let aside = (1..).map(|n| PathBuf::from(format!("{}.{n}", self.folder.display()))).find(|path| !path.exists());
        let aside = aside.context("no free name")?;
        fs::rename(&self.folder, &aside).with_context(|| format!("moving {} aside", self.folder.display()))?;
        log::info!("Moved the old run to {}", aside.display());
        Ok(())
    }

    /// Refuses to go on here from a checkpoint of elsewhere, where that would mix two runs in one folder.
    pub fn refuse_mixture(&self, checkpoint: &Path) -> Result<()> {
        let empty = self.store(&checkpoint::Config::default()).list()?.is_empty();
        let own =
            |path: &Path| Some(fs::canonicalize(path.parent()?).ok()? == fs::canonicalize(self.checkpoints()).ok()?);
        if empty || !checkpoint.exists() || own(checkpoint) == Some(true) {
            return Ok(());
        }
        let (checkpoint, folder) = (checkpoint.display(), self.folder.display());
        Err(usage(format!(
            "{checkpoint} is not of the run in {folder}: name a new folder with --run, to leave that run alone"
        )))
    }

    /// Renames checkpoints later than `step`, which a run that starts over from there would otherwise come back to.
    pub fn supersede_after(&self, config: &checkpoint::Config, step: u64) -> Result<()> {
        for later in self.store(config).list()?.into_iter().filter(|path| checkpoint::step_of(path) > Some(step)) {
            let name = later.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let to = later.with_file_name(format!("superseded-{name}"));
            if to.exists() {
                fs::remove_dir_all(&to).with_context(|| format!("removing {}", to.display()))?;
            }
            fs::rename(&later, &to).with_context(|| format!("renaming {}", later.display()))?;
            log::warn!("Renamed the later checkpoint to {}", to.display());
        }
        Ok(())
    }
}

/// The checkpoint that a person named by its folder.
pub fn named(folder: &Path) -> Result<(PathBuf, Snapshot)> {
    if matches!(folder.try_exists(), Ok(false)) {
        return Err(usage(format!(
            "{} is no checkpoint: there is no such folder; name one such as runs/NAME/checkpoints/step-0000000100",
            folder.display()
        )));
    }
    Ok((folder.into(), checkpoint::load(folder)?))
}

/// The checkpoint that was found; damaged ones that were passed over are logged, and are an error if there is no other.
pub fn valid(found: Found) -> Result<Option<(PathBuf, Snapshot)>> {
    let (found, damaged) = found;
    for damaged in &damaged {
        log::warn!("Passed over the damaged checkpoint {}: {}", damaged.path.display(), damaged.reason);
    }
    if found.is_none() && !damaged.is_empty() {
        anyhow::bail!("none of the {} checkpoints is valid; --resume never starts over", damaged.len());
    }
    Ok(found)
}
