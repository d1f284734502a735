//! Finds the starting point of a training: folder, configuration and checkpoint.

mod class_weights;
mod precision;
mod preprocessing;

use crate::cli;
use crate::common::config::{Config, Distributed};
use crate::common::identity::{self, Passed};
use crate::common::origin;
use crate::common::run::Run;
use crate::common::trained;
use crate::common::usage::Usage;
use anyhow::{Context, Result};
use contract::Progress;
use session::{Lock, Opened, Resume};
use std::fs;
use std::path::Path;

/// Starting point of a training.
pub struct Start {
    /// Run folder.
    pub run: Run,
    /// Configuration, with the changes of the command line.
    pub config: Config,
    /// Its folder, and the checkpoint to continue from.
    pub opened: Opened,
    /// Permitted differences between the configuration and that of the checkpoint.
    pub changes: Vec<Passed>,
    /// Step at which to stop; of several ranks, the first one's.
    pub until_step: Option<u64>,
}

/// Finds the starting point. Only reads, and takes the lock of an existing folder.
pub fn start(args: &cli::Train) -> Result<Start> {
    let run = folder(args);
    // Locked before anything is read: another process would soon make it outdated.
    run.is_there()?;
    run.refuse_foreign()?;
    let mut opened = Opened::lock(run.parts())?;
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
                Some((path, snapshot)) => origin::config(snapshot, &path.display().to_string()).ok(),
                None => run.config().ok(),
            };
            Config::given(Some(file), &args.set, before.as_ref())?
        }
        (None, Some((path, snapshot))) => origin::config(snapshot, &path.display().to_string())?.with(&args.set)?,
        (None, None) if run.exists() => run.config()?.with(&args.set)?,
        (None, None) => Config::given(None, &args.set, None)?,
    };
    identity::check_allowed(&config, &args.allow)?;
    match named {
        Some(named) => opened.resume_with(args.resume.clone(), Some(named)),
        None => opened.find(args.resume.clone())?,
    }
    let config = precision::chosen(config, opened.checkpoint())?;
    let config = preprocessing::chosen(config, opened.checkpoint())?;
    let config = class_weights::chosen(config, opened.checkpoint())?;
    let changes = match opened.checkpoint() {
        Some((path, snapshot)) => identity::compare_config(path, snapshot, &config, &args.allow)?,
        None => Vec::new(),
    };
    Ok(Start { run, config, opened, changes, until_step: args.until_step })
}

/// Returns the section `distributed` as each rank can know it before it meets the others: not every machine need have
/// the run folder.
pub fn distributed(args: &cli::Train) -> Result<Distributed> {
    let run = folder(args);
    let config = match &args.config {
        Some(file) => Config::given(Some(file), &args.set, None)?,
        None if run.exists() => run.config()?.with(&args.set)?,
        None => Config::given(None, &args.set, None)?,
    };
    Ok(config.distributed)
}

impl Start {
    /// Returns the progress of the training.
    pub fn progress(&self) -> Progress {
        self.opened.progress()
    }

    /// Returns true if the early stopping has ended the run at the checkpoint to resume from.
    ///
    /// # Errors
    ///
    /// Fails if that state is damaged.
    pub fn ended_early(&self) -> Result<bool> {
        let (Some(rule), Some((path, snapshot))) = (&self.config.train.early_stopping, self.opened.checkpoint()) else {
            return Ok(false);
        };
        rule.is_over(&snapshot.states).with_context(|| path.display().to_string())
    }

    /// Logs that the training is done already, and which requested changes of the configuration were not applied.
    ///
    /// # Errors
    ///
    /// Fails if the run was trained with other data.
    pub fn say_finished(&self, allow: &[String]) -> Result<()> {
        let Some((path, snapshot)) = self.opened.checkpoint() else { return Ok(()) };
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
        let longer = match epochs < self.config.train.epochs {
            true => "train.early_stopping=null".into(),
            false => format!("train.epochs={}", epochs + 10),
        };
        log::info!("{folder} is finished: {epochs} epochs. To train longer: --set {longer}");
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

    /// Returns true, and logs it, if the training is at step `until_step` already.
    pub fn has_reached(&self) -> bool {
        let at = self.progress().step;
        let Some(step) = self.until_step.filter(|step| at >= *step) else { return false };
        let folder = self.run.folder.display();
        log::info!("{folder} is at step {at} already: --until-step {step} leaves nothing to do");
        true
    }

    /// Returns the lock, if the folder existed from the start or is prepared.
    pub fn lock(&self) -> Option<&Lock> {
        self.opened.held().map(|lock| &**lock)
    }
}

/// Returns the run folder: the one named, the configuration's own, or that of the checkpoint named.
pub fn folder(args: &cli::Train) -> Run {
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
