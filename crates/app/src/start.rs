//! Where a training starts from: which folder, which configuration, which checkpoint.

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

/// Where a training starts from.
pub struct Start {
    /// The run folder.
    pub run: Run,
    /// The configuration, with the changes of the command line.
    pub config: Config,
    /// The checkpoint to continue from.
    pub checkpoint: Option<(PathBuf, Snapshot)>,
    /// Permitted differences between the configuration and that of the checkpoint.
    pub changes: Vec<Passed>,
    resume: Resume,
    lock: Option<Arc<Lock>>,
}

/// Reads what there is, and changes nothing.
pub fn start(args: &cli::Train) -> Result<Start> {
    let run = folder(args);
    // Before anything is read: what another process is writing would soon be no longer true.
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
            // One that cannot be read says so where it is needed.
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
    /// How far training has come.
    pub fn progress(&self) -> Progress {
        self.checkpoint.as_ref().map(|(_, snapshot)| snapshot.progress).unwrap_or_default()
    }

    /// Says that all epochs are done already, and what of the configuration that was asked for is not that of the run.
    ///
    /// # Errors
    ///
    /// Fails where the run was trained with other data.
    pub fn say_finished(&self, allow: &[String]) -> Result<()> {
        let Some((path, snapshot)) = &self.checkpoint else { return Ok(()) };
        let data = identity::compare_data(path, snapshot, &self.config, allow);
        // A run of which nothing else is asked is finished also where its data are gone.
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
                "It was trained with another configuration, and nothing was done about that: {}. For a run of its own, \
                 name a folder with --run",
                changes.join("; ")
            );
        }
        Ok(())
    }

    /// Makes the run folder ready, once everything that may fail early has not failed: an old run that shall not go on
    /// is moved aside, and so are checkpoints later than the one to continue from. The lock is held as long as this
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

    /// The lock, where the folder was there from the start or is ready.
    pub fn lock(&self) -> Option<&Lock> {
        self.lock.as_deref()
    }
}

/// The run folder: the one named, that of the checkpoint named, or the configuration's own.
fn folder(args: &cli::Train) -> Run {
    let of_checkpoint = |path: &Path| {
        let of = |path: &Path| path.parent()?.parent().filter(|run| *run != Path::new("")).map(Run::at);
        // A path that begins inside the run says nothing of its folder.
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
