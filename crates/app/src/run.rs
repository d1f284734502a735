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
        let plain: PathBuf = folder.components().collect();
        let named = plain.file_name().is_some();
        Self { folder: if named { plain } else { fs::canonicalize(&plain).unwrap_or(plain) } }
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

    /// Returns the path of its scalars.
    pub fn metrics(&self) -> PathBuf {
        self.folder.join("metrics.jsonl")
    }

    fn checkpoints(&self) -> PathBuf {
        self.folder.join("checkpoints")
    }

    /// Returns whether the folder is that of a run, i.e. holds a configuration. A folder that cannot be examined
    /// counts as one: it is not free, and reading it reports the error.
    pub fn exists(&self) -> bool {
        self.config_file().try_exists().unwrap_or(true)
    }

    /// Returns whether the folder exists. A file in its place is an error, and so is a folder that cannot be examined.
    pub fn is_there(&self) -> Result<bool> {
        let folder = self.folder.display();
        match fs::metadata(&self.folder) {
            Ok(about) if about.is_dir() => Ok(true),
            Ok(_) => Err(usage(format!("{folder} is no run folder: it is a file; name a folder with --run"))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error).with_context(|| format!("looking for the run folder {folder}")),
        }
    }

    /// Returns whether training has begun here, even if the configuration was removed since.
    pub fn has_begun(&self) -> bool {
        let has_lines = || self.metrics().metadata().is_ok_and(|about| about.len() > 0);
        let has_saved = || self.store(&checkpoint::Config::default()).list().is_ok_and(|all| !all.is_empty());
        self.exists() || has_lines() || has_saved()
    }

    /// Reads the configuration of the run.
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

    /// Refuses a folder with a `config.json` but without a training, which would replace that file.
    pub fn refuse_foreign(&self) -> Result<()> {
        let has_begun = [self.checkpoints(), self.metrics(), self.folder.join("environment.json")];
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
            "{} is there, without a training, and would be replaced: name another folder with --run, or rename the file",
            file.display()
        )))
    }

    /// Creates the folder.
    pub fn create(&self) -> Result<()> {
        fs::create_dir_all(&self.folder).with_context(|| format!("making {}", self.folder.display()))
    }

    /// Writes the resolved configuration.
    pub fn keep(&self, config: &Config) -> Result<()> {
        publish(&self.config_file(), config.resolved()?.as_bytes())
    }

    /// Returns the store of the run's checkpoints.
    pub fn store(&self, config: &checkpoint::Config) -> Store {
        Store::new(self.checkpoints(), config)
    }

    /// Returns the folder of rejected batches, each kept with the weights it met.
    pub fn rejected(&self) -> PathBuf {
        self.folder.join("rejected")
    }

    /// Returns the path of the report.
    pub fn report(&self) -> PathBuf {
        self.folder.join("report.html")
    }

    /// Writes the configuration again if somebody removed it meanwhile.
    pub fn keep_if_missing(&self, config: &Config) -> Result<()> {
        if self.exists() { Ok(()) } else { self.keep(config) }
    }

    /// Renames the folder to the first free `NAME.1`, `NAME.2`, … If it is a link, renames the folder it leads to,
    /// makes it lead to a new one, and places a link to the old one next to it.
    pub fn move_aside(&self) -> Result<()> {
        let doing = || format!("moving {} aside", self.folder.display());
        let folder = fs::canonicalize(&self.folder).with_context(doing)?;
        let numbered = |path: &Path, n: u64| {
            let mut name = path.as_os_str().to_owned();
            name.push(format!(".{n}"));
            PathBuf::from(name)
        };
        let free = |path: &Path| path.symlink_metadata().is_err();
        let n = (1..)
            .find(|n| free(&numbered(&self.folder, *n)) && free(&numbered(&folder, *n)))
            .context("no free name")?;
        let is_link = self.folder.symlink_metadata().with_context(doing)?.is_symlink();
        let beside = numbered(&self.folder, n);
        if !is_link {
            fs::rename(&self.folder, &beside).with_context(doing)?;
            log::info!("Moved the old run to {}", beside.display());
            return Ok(());
        }
        let aside = numbered(&folder, n);
        fs::rename(&folder, &aside).with_context(doing)?;
        // Without it the link would lead nowhere, and `create` would fail.
        fs::create_dir(&folder).with_context(doing)?;
        log::info!("Moved the old run to {}; the new one is in {}", aside.display(), folder.display());
        #[cfg(unix)]
        if let Err(error) = std::os::unix::fs::symlink(&aside, &beside) {
            log::warn!("{} could not be made a link to it: {error}", beside.display());
        }
        Ok(())
    }

    /// Refuses to resume here from a checkpoint of another run if this one has checkpoints too, which would mix two
    /// runs in one folder.
    pub fn refuse_mixture(&self, checkpoint: &Path) -> Result<()> {
        let empty = self.store(&checkpoint::Config::default()).list()?.is_empty();
        if empty || !checkpoint.exists() || self.holds(checkpoint) {
            return Ok(());
        }
        let (checkpoint, folder) = (checkpoint.display(), self.folder.display());
        Err(usage(format!(
            "{checkpoint} is not of the run in {folder}: name a new folder with --run, to leave that run alone"
        )))
    }

    /// Refuses a checkpoint that is not of this run.
    pub fn refuse_stranger(&self, checkpoint: &Path) -> Result<()> {
        if !checkpoint.exists() || self.holds(checkpoint) {
            return Ok(());
        }
        let (checkpoint, folder) = (checkpoint.display(), self.folder.display());
        Err(usage(format!(
            "{checkpoint} is not of the run in {folder}: leave out --run, for a checkpoint says how it was trained"
        )))
    }

    fn holds(&self, checkpoint: &Path) -> bool {
        let own = || Some(fs::canonicalize(checkpoint).ok()?.parent()? == fs::canonicalize(self.checkpoints()).ok()?);
        own() == Some(true)
    }

    /// Renames checkpoints later than `step`, which a run that resumes from there would otherwise return to.
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

/// Returns the checkpoint that was found. Logs damaged ones that were skipped, and fails if there is no other.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_called_the_same_however_it_is_named() {
        for name in ["runs/x", "runs/x/", "runs//x", "runs/x/.", "runs/./x//"] {
            assert_eq!(Run::at(Path::new(name)).folder, Path::new("runs/x"), "{name}");
        }
        for name in ["../x", "./x", "/runs/x", "runs/my run"] {
            assert_eq!(Run::at(Path::new(name)).folder, Path::new(name));
        }
        let here = fs::canonicalize(".").unwrap();
        assert_eq!(Run::at(Path::new(".")).folder, here);
        assert_eq!(Run::at(Path::new("src/..")).folder, here);
    }

    #[test]
    fn an_old_run_is_moved_to_the_first_free_number() {
        let root = tempfile::tempdir().unwrap();
        let run = Run::at(&root.path().join("my run/"));
        for n in 1..3 {
            run.create().unwrap();
            fs::write(run.metrics(), n.to_string()).unwrap();
            run.move_aside().unwrap();
            assert!(!run.folder.exists());
            let old = root.path().join(format!("my run.{n}/metrics.jsonl"));
            assert_eq!(fs::read_to_string(old).unwrap(), n.to_string());
        }
    }

    #[cfg(unix)]
    #[test]
    fn of_a_link_the_folder_is_moved_and_the_link_leads_to_the_new_one() {
        let root = tempfile::tempdir().unwrap();
        let (disk, runs) = (root.path().join("disk"), root.path().join("runs"));
        fs::create_dir_all(disk.join("x")).unwrap();
        fs::create_dir(&runs).unwrap();
        std::os::unix::fs::symlink(disk.join("x"), runs.join("x")).unwrap();
        let run = Run::at(&runs.join("x"));
        fs::write(run.metrics(), "old").unwrap();
        run.move_aside().unwrap();
        run.create().unwrap();
        assert!(run.folder.is_symlink() && disk.join("x").is_dir() && !run.metrics().exists());
        for old in [disk.join("x.1"), runs.join("x.1")] {
            assert_eq!(fs::read_to_string(old.join("metrics.jsonl")).unwrap(), "old");
        }
    }
}
