//! A run folder: `config.json`, `checkpoints/`, `logs/`, `metrics.jsonl`.

use crate::config::Config;
use crate::files::publish;
use crate::regular;
use crate::usage::usage;
use anyhow::{Context, Result};
use checkpoint::{Found, Snapshot, Store};
use std::fs;
use std::io;
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
            None => Self::newest().ok_or_else(|| {
                usage("no run under runs/ holds a checkpoint: train one (app train), or name one with --run")
            }),
        }
    }

    fn newest() -> Option<Self> {
        let folders = fs::read_dir(RUNS).ok()?.flatten().map(|entry| Self { folder: entry.path() });
        let saved_at = |run: &Self| -> Option<SystemTime> {
            run.config_file().metadata().ok()?;
            let checkpoints = fs::read_dir(run.checkpoints()).ok()?.flatten();
            let published = checkpoints.filter(|entry| entry.file_name().to_string_lossy().starts_with("step-"));
            published.filter_map(|entry| entry.metadata().ok()?.modified().ok()).max()
        };
        folders.filter_map(|run| Some((saved_at(&run)?, run))).max_by_key(|(at, _)| *at).map(|(_, run)| run)
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

    /// Whether training has begun here.
    pub fn exists(&self) -> bool {
        self.config_file().exists()
    }

    /// The configuration of the run.
    pub fn config(&self) -> Result<Config> {
        if !self.exists() {
            return Err(usage(format!("{} is no run folder: it holds no config.json", self.folder.display())));
        }
        let file = self.config_file();
        let text = regular::open(&file).and_then(io::read_to_string).with_context(|| file.display().to_string())?;
        Config::parse_saved(&text, &file.display().to_string())
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
