//! A trained network: its run's configuration, and the weights of a checkpoint; or what was saved of the two.

use crate::cli;
use crate::cli::Which;
use crate::config::Config;
use crate::parts::Network;
use crate::run::{Run, named, valid};
use crate::saved;
use crate::snapshot;
use crate::usage::usage;
use anyhow::Result;
use checkpoint::Snapshot;
use contract::Progress;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A trained network.
pub struct Trained {
    /// The configuration of its run, with the changes of the command line.
    pub config: Config,
    /// The network.
    pub network: Network,
    /// Where its weights come from: the folder of a checkpoint, or of a saved network.
    pub checkpoint: PathBuf,
    /// How far it was trained.
    pub progress: Progress,
    /// The validation scores of the checkpoint.
    pub scores: BTreeMap<String, f64>,
    /// What the checkpoint comes from.
    pub about: Value,
}

/// Reads what the command line names: a run's network, or a saved one.
pub fn used(which: &cli::Used, changes: &[String]) -> Result<Trained> {
    match &which.model {
        Some(folder) => saved::load(folder, changes),
        None => load(&which.trained, changes),
    }
}

/// Reads the network of a run that the command line names. The configuration comes from the run, so it cannot disagree with training.
pub fn load(which: &cli::Trained, changes: &[String]) -> Result<Trained> {
    let run = Run::trained(which.run.as_deref())?;
    let config = run.config()?.with(changes)?;
    let (checkpoint, snapshot) = find(&run, &which.checkpoint, &config)?;
    build(config, checkpoint, snapshot)
}

/// The checkpoint of a run that the command line names.
pub fn find(run: &Run, which: &Which, config: &Config) -> Result<(PathBuf, Snapshot)> {
    let store = run.store(&config.checkpoint);
    let found = match which {
        Which::At(path) => Some(named(path)?),
        Which::Latest => valid(store.newest()?)?,
        Which::Best => match valid(store.best()?)? {
            Some(best) => Some(best),
            None => valid(store.newest()?)?.inspect(|(path, _)| {
                let score = &config.checkpoint.best;
                log::warn!(
                    "No checkpoint has the score {score} (checkpoint.best): taking the newest, {}",
                    path.display()
                );
            }),
        },
    };
    found.ok_or_else(|| usage(format!("{} holds no checkpoint yet: train it first", run.folder.display())))
}

/// The network of a checkpoint.
pub fn build(config: Config, checkpoint: PathBuf, snapshot: Snapshot) -> Result<Trained> {
    let network = Network::build(&config)?;
    snapshot::restore_for_use(&snapshot, &network)?;
    log::info!("Using {} ({} epochs)", checkpoint.display(), snapshot.progress.epoch);
    let Snapshot { progress, scores, about, .. } = snapshot;
    Ok(Trained { config, network, checkpoint, progress, scores, about })
}
