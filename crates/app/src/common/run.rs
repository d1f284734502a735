//! A run folder: `config.json`, `checkpoints/`, `logs/`, `metrics.jsonl`.

use crate::common::config::Config;
use crate::common::files::publish;
use crate::common::usage::usage;
use anyhow::{Context, Result};
use checkpoint::Store;
use session::Folder;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Default folder of runs.
pub const RUNS: &str = "runs";

/// A run folder.
#[derive(Debug, Clone)]
pub struct Run {
    /// Path of the folder.
    pub folder: PathBuf,
}

impl Run {
    /// Returns the run in `runs/NAME`.
    pub fn named(name: &str) -> Self {
        Self { folder: Path::new(RUNS).join(name) }
    }

    /// Returns the run in a folder that the user named. Removes redundant parts of the path, and resolves one that ends
    /// in no name (`.`, `..`), since the run is listed, moved aside and exported by that name.
    pub fn at(folder: &Path) -> Self {
        Self { folder: Folder::at(folder).path().into() }
    }

    /// Returns the run in the folder that the user named, or the one under `runs/` that last wrote a checkpoint.
    pub fn trained(folder: Option<&Path>) -> Result<Self> {
        match folder {
            Some(folder) => Ok(Self::at(folder)),
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

    /// Returns the time of the run's last checkpoint; None if it has none, or if this is no run.
    fn saved_at(&self) -> io::Result<Option<SystemTime>> {
        let none = |error: io::Error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => Ok(None),
            _ => Err(error),
        };
        if let Err(error) = self.config_file().metadata() {
            return none(error);
        }
        let entries = match fs::read_dir(self.parts().checkpoints()) {
            Ok(entries) => entries.flatten(),
            Err(error) => return none(error),
        };
        let published = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("step-"));
        Ok(published.filter_map(|entry| entry.metadata().ok()?.modified().ok()).max())
    }

    /// Returns the folder as a session sees it.
    pub fn parts(&self) -> Folder {
        Folder::at(&self.folder)
    }

    fn config_file(&self) -> PathBuf {
        self.folder.join("config.json")
    }

    /// Returns the path of its scalars.
    pub fn metrics(&self) -> PathBuf {
        self.parts().metrics()
    }

    /// Returns whether the folder is that of a run, i.e. holds a configuration. A folder that cannot be examined
    /// counts as one: it is not free, and reading it reports the error.
    pub fn exists(&self) -> bool {
        self.config_file().try_exists().unwrap_or(true)
    }

    /// Returns whether the folder exists. A file in its place is an error, and so is a folder that cannot be examined.
    pub fn is_there(&self) -> Result<bool> {
        self.parts().exists().map_err(|error| match error {
            session::Error::Folder(said) => usage(said),
            error => error.into(),
        })
    }

    /// Reads the configuration of the run.
    pub fn config(&self) -> Result<Config> {
        let folder = self.folder.display();
        if !self.is_there()? {
            return Err(usage(format!("{folder} is not a run folder: it does not exist (app runs lists runs)")));
        }
        if !self.exists() {
            return Err(usage(format!("{folder} is not a run folder: it holds no config.json")));
        }
        Config::read_saved(&self.config_file())
    }

    /// Refuses a folder with a `config.json` but without a training, which would replace that file.
    pub fn refuse_foreign(&self) -> Result<()> {
        let has_begun = [self.parts().checkpoints(), self.metrics(), self.folder.join("environment.json")];
        if !self.exists() || has_begun.iter().any(|path| path.exists()) {
            return Ok(());
        }
        // A training may have ended right after it had written this.
        let file = self.config_file();
        let text = regular::open(&file).and_then(io::read_to_string).with_context(|| file.display().to_string())?;
        let saved = Config::parse_saved(&text, "").and_then(|config| config.resolved());
        if saved.is_ok_and(|saved| saved == text) {
            return Ok(());
        }
        Err(usage(format!(
            "{} belongs to no run and would be replaced: name another folder with --run, or rename the file",
            file.display()
        )))
    }

    /// Writes the resolved configuration.
    pub fn keep(&self, config: &Config) -> Result<()> {
        publish(&self.config_file(), config.resolved()?.as_bytes())
    }

    /// Returns the store of the run's checkpoints.
    pub fn store(&self, config: &checkpoint::Config) -> Store {
        self.parts().store(config)
    }

    /// Returns the path of the report.
    pub fn report(&self) -> PathBuf {
        self.folder.join("report.html")
    }

    /// Writes the configuration again if somebody removed it meanwhile.
    pub fn keep_if_missing(&self, config: &Config) -> Result<()> {
        if self.exists() { Ok(()) } else { self.keep(config) }
    }

    /// Refuses to resume here from a checkpoint of another run if this one has checkpoints too, which would mix two
    /// runs in one folder.
    pub fn refuse_mixture(&self, checkpoint: &Path) -> Result<()> {
        let empty = self.store(&checkpoint::Config::default()).list()?.is_empty();
        if empty || !checkpoint.exists() || self.parts().holds(checkpoint) {
            return Ok(());
        }
        let (checkpoint, folder) = (checkpoint.display(), self.folder.display());
        Err(usage(format!(
            "{checkpoint} does not belong to the run in {folder}: name a new folder with --run, to leave that run alone"
        )))
    }

    /// Refuses a checkpoint that is not of this run.
    pub fn refuse_stranger(&self, checkpoint: &Path) -> Result<()> {
        if !checkpoint.exists() || self.parts().holds(checkpoint) {
            return Ok(());
        }
        let (checkpoint, folder) = (checkpoint.display(), self.folder.display());
        Err(usage(format!(
            "{checkpoint} does not belong to the run in {folder}: leave out --run, for a checkpoint says how it \
             was trained"
        )))
    }
}
