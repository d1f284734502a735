//! Loads a trained network: the weights of a checkpoint and the configuration that it was trained with, or both as
//! saved by an export.

use crate::cli;
use crate::cli::Which;
use crate::common::config::Config;
use crate::common::identity;
use crate::common::network::{Network, Trained};
use crate::common::origin;
use crate::common::run::Run;
use crate::common::saved;
use crate::common::snapshot;
use crate::common::usage::usage;
use anyhow::Result;
use checkpoint::Snapshot;
use session::valid;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Loads the network that the command line names: a run's, or a saved one.
pub fn used(which: &cli::Used, changes: &[String]) -> Result<Trained> {
    match &which.model {
        Some(folder) => saved::load(folder, changes),
        None => load(&which.trained, changes),
    }
}

/// Loads the network of a run or a checkpoint that the command line names. Weights and configuration come from the same
/// checkpoint, so they cannot disagree. A checkpoint that is named by its path needs no run: its own record is enough.
pub fn load(which: &cli::Trained, changes: &[String]) -> Result<Trained> {
    let run = match (&which.checkpoint, &which.run) {
        (Which::At(path), None) => {
            let snapshot = read(path)?;
            let config = origin::config(&snapshot, &path.display().to_string())?.elsewhere()?.with(changes)?;
            return build(config, path.clone(), snapshot);
        }
        (Which::At(path), Some(folder)) => {
            let run = Run { folder: folder.clone() };
            run.refuse_stranger(path)?;
            run
        }
        (_, folder) => Run::trained(folder.as_deref())?,
    };
    let own = run.config()?;
    let (checkpoint, snapshot) = find(&run, &which.checkpoint, &own.with(changes)?)?;
    let config = identity::used(&snapshot, &checkpoint.display().to_string(), &own)?.with(changes)?;
    build(config, checkpoint, snapshot)
}

/// Returns the checkpoint of a run that the command line names.
pub fn find(run: &Run, which: &Which, config: &Config) -> Result<(PathBuf, Snapshot)> {
    let store = run.store(&config.checkpoint.keep);
    let found = match which {
        Which::At(path) => Some((path.clone(), read(path)?)),
        Which::Latest => valid(store.newest()?)?,
        Which::Best => match valid(store.best()?)? {
            Some(best) => Some(best),
            None => valid(store.newest()?)?.inspect(|(path, _)| {
                let score = &config.checkpoint.keep.best;
                log::warn!(
                    "No checkpoint has the score {score} (checkpoint.best): taking the newest, {}",
                    path.display()
                );
            }),
        },
    };
    found.ok_or_else(|| usage(format!("{} holds no checkpoint yet: train it first", run.folder.display())))
}

/// Reads the checkpoint at `path`, which the user named. If there is none, the error says what lies there.
pub fn read(path: &Path) -> Result<Snapshot> {
    let shown = path.display();
    let name_one = "name the folder of a checkpoint, such as runs/shapes/checkpoints/step-0000000100";
    let about = path.metadata().map_err(|error| match error.kind() {
        ErrorKind::NotFound => usage(format!("there is no checkpoint {shown}: {name_one}")),
        _ => usage(format!("the checkpoint {shown} cannot be read: {error}")),
    })?;
    if !about.is_dir() {
        return Err(usage(format!("{shown} is a file, not a checkpoint: {name_one}")));
    }
    match path.join(checkpoint::MANIFEST).symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        _ => return Ok(checkpoint::load(path)?),
    }
    let holds = |name: &str| path.join(name).exists();
    Err(usage(match () {
        () if holds("config.json") => format!("{shown} is a run, not a checkpoint: name it with --run, or {name_one}"),
        () if holds(::saved::DESCRIPTION) => {
            format!("{shown} is a saved network, not a checkpoint: name it with --model, or {name_one}")
        }
        () => format!("{shown} is no checkpoint, for it has no {}: {name_one}", checkpoint::MANIFEST),
    }))
}

/// Builds the network of a checkpoint.
pub fn build(config: Config, checkpoint: PathBuf, snapshot: Snapshot) -> Result<Trained> {
    let network = Network::build(&config)?;
    snapshot::restore_for_use(&snapshot, &network)?;
    log::info!("Using {} ({} epochs)", checkpoint.display(), snapshot.progress.epoch);
    let Snapshot { progress, scores, about, .. } = snapshot;
    Ok(Trained { config, network, checkpoint, progress, scores, about })
}
