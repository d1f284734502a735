//! Finds the starting point of a training: folder, configuration and checkpoint.

use crate::cli;
use crate::cli::Resume;
use crate::config::Config;
use crate::files;
use crate::identity::{self, Passed};
use crate::lock::Lock;
use crate::run::{Run, valid};
use crate::trained;
use crate::usage::Usage;
use anyhow::{Result, ensure};
use checkpoint::Snapshot;
use contract::Progress;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Starting point of a training.
pub struct Start {
    /// Run folder.
    pub run: Run,
    /// Configuration, with the changes of the command line.
    pub config: Config,
    /// Checkpoint to continue from.
    pub checkpoint: Option<(PathBuf, Snapshot)>,
    /// Permitted differences between the configuration and that of the checkpoint.
    pub changes: Vec<Passed>,
    resume: Resume,
    lock: Option<Arc<Lock>>,
}

/// Finds the starting point. Only reads, and takes the lock of an existing folder.
pub fn start(args: &cli::Train) -> Result<Start> {
    let run = folder(args);
    // Locked before anything is read: another process would soon make it outdated.
    let is_there = run.is_there()?;
    run.refuse_foreign()?;
    let lock = if is_there { Some(Arc::new(Lock::take(&run.folder)?)) } else { None };
    let named = match &args.resume {
        Resume::From(path) => {
            run.refuse_mixture(path)?;
            Some((path.clone(), trained::read(path)?))
        }
        _ => None,
    };
    let config = match (&args.config, &named) {
        (Some(file), named) => {
            // A configuration that cannot be read is reported where it is needed.
            let before = match named {
                _ if args.resume == Resume::Never => None,
                Some((path, snapshot)) => identity::config(snapshot, &path.display().to_string()).ok(),
                None => run.config().ok(),
            };
            Config::given(Some(file), &args.set, before.as_ref())?
        }
        (None, Some((path, snapshot))) => identity::config(snapshot, &path.display().to_string())?.with(&args.set)?,
        (None, None) if run.exists() => run.config()?.with(&args.set)?,
        (None, None) => Config::given(None, &args.set, None)?,
    };
    identity::check_allowed(&config, &args.allow)?;
    let checkpoint = match (&args.resume, named) {
        (Resume::Never, _) => None,
        (_, Some(named)) => Some(named),
        _ => valid(run.store(&config.checkpoint).newest()?)?,
    };
    let changes = match &checkpoint {
        Some((path, snapshot)) => identity::compare_config(path, snapshot, &config, &args.allow)?,
        None => Vec::new(),
    };
    Ok(Start { run, config, checkpoint, changes, resume: args.resume.clone(), lock })
}

impl Start {
    /// Returns the progress of the training.
    pub fn progress(&self) -> Progress {
        self.checkpoint.as_ref().map(|(_, snapshot)| snapshot.progress).unwrap_or_default()
    }

    /// Logs that all epochs are done already, and which requested changes of the configuration were not applied.
    ///
    /// # Errors
    ///
    /// Fails if the run was trained with other data.
    pub fn say_finished(&self, allow: &[String]) -> Result<()> {
        let Some((path, snapshot)) = &self.checkpoint else { return Ok(()) };
        let data = identity::compare_data(path, snapshot, &self.config, allow);
        // If nothing else is asked of it, a run is finished even if its data are gone.
        let gone = |error: &anyhow::Error| !error.is::<Usage>() && self.changes.is_empty();
        let of_data = match data {
            Err(error) if gone(&error) => {
                log::warn!("Its data could not be compared: {error:#}");
                Vec::new()
            }
            data => data?,
        };
        let (folder, epochs) = (self.run.folder.display(), snapshot.progress.epoch);
        log::info!("{folder} is finished: {epochs} epochs. To train longer: --set train.epochs={}", epochs + 10);
        let changes: Vec<&str> = self.changes.iter().chain(&of_data).map(|(_, change)| change.as_str()).collect();
        if !changes.is_empty() {
            log::warn!(
                "It was trained with another configuration, and these changes were not applied: {}. To train \
                 with them, name another folder with --run",
                changes.join("; ")
            );
        }
        Ok(())
    }

    /// Prepares the run folder, once everything that may fail early has succeeded: moves aside an old run that shall
    /// not go on, and renames checkpoints later than the one to continue from. The lock is held as long as `self`
    /// lives.
    pub fn enter(&mut self, from: Progress) -> Result<Arc<Lock>> {
        self.lock.iter().try_for_each(|lock| lock.check())?;
        match self.resume {
            Resume::Never if self.run.has_begun() => {
                self.run.move_aside()?;
                // The old lock moved along.
                self.lock = None;
            }
            Resume::From(_) => self.run.supersede_after(&self.config.checkpoint, from.step)?,
            _ => {}
        }
        if let Some(lock) = &self.lock {
            // Nobody else writes here.
            files::clean(&self.run.folder, Duration::ZERO);
            return Ok(Arc::clone(lock));
        }
        self.run.create()?;
        let lock = Arc::new(Lock::take(&self.run.folder)?);
        ensure!(!self.run.has_begun(), "{} was made by another process meanwhile", self.run.folder.display());
        self.lock = Some(Arc::clone(&lock));
        Ok(lock)
    }

    /// Returns the lock, if the folder existed from the start or is prepared.
    pub fn lock(&self) -> Option<&Lock> {
        self.lock.as_deref()
    }
}

/// Returns the run folder: the one named, the configuration's own, or that of the checkpoint named.
fn folder(args: &cli::Train) -> Run {
    let of_checkpoint = |path: &Path| {
        let of = |path: &Path| path.parent()?.parent().filter(|run| *run != Path::new("")).map(Run::at);
        // A path that begins inside the run does not name its folder.
        of(path).or_else(|| of(&fs::canonicalize(path).ok()?))
    };
    let own = match (&args.run, &args.config, &args.resume) {
        (Some(folder), _, _) => Some(Run::at(folder)),
        (None, Some(file), _) => file.file_stem().map(|stem| Run::named(&stem.to_string_lossy())),
        (None, None, Resume::From(path)) => of_checkpoint(path),
        (None, None, _) => None,
    };
    own.unwrap_or_else(|| Run::named("shapes"))
}
