//! Loads the networks of a prediction: one, or several that are averaged.

use crate::cli::{self, Which};
use crate::common::folds::Folds;
use crate::common::network::Trained;
use crate::common::saved;
use crate::common::trained;
use crate::common::usage::usage;
use anyhow::Result;
use std::path::Path;

/// Loads the networks that the command line names; the first one's classes and data are those of all.
pub fn networks(which: &cli::Networks, changes: &[String]) -> Result<Vec<Trained>> {
    if which.ensemble.is_empty() {
        return Ok(vec![trained::used(&which.used, changes)?]);
    }
    let checkpoint = &which.used.trained.checkpoint;
    if let Which::At(path) = checkpoint {
        let path = path.display();
        return Err(usage(format!("--checkpoint {path} names one network: name it in --ensemble, beside the others")));
    }
    let mut paths = Vec::new();
    for path in &which.ensemble {
        match Folds::of(path)? {
            Some(folds) => paths.extend(folds.runs.into_iter().map(|run| run.folder)),
            None => paths.push(path.clone()),
        }
    }
    let all = paths.iter().map(|path| load(path, checkpoint, changes)).collect::<Result<Vec<_>>>()?;
    if let [first, others @ ..] = &all[..] {
        others.iter().try_for_each(|other| check(first, other))?;
    }
    if all.len() > 1 {
        log::info!("Averaging {} networks: time and memory are the sum of theirs", all.len());
    }
    Ok(all)
}

/// Loads the network of a run, a checkpoint or a saved network.
fn load(path: &Path, checkpoint: &Which, changes: &[String]) -> Result<Trained> {
    let holds = |name: &str| path.join(name).exists();
    if holds(::saved::DESCRIPTION) {
        saved::load(path, changes)
    } else if holds(checkpoint::MANIFEST) {
        trained::load(&cli::Trained { run: None, checkpoint: Which::At(path.into()) }, changes)
    } else if holds("config.json") {
        trained::load(&cli::Trained { run: Some(path.into()), checkpoint: checkpoint.clone() }, changes)
    } else {
        Err(usage(format!(
            "--ensemble {}: it is no run, no checkpoint and no saved network. --ensemble takes all names up to the \
             next option; put -- between the networks and the images",
            path.display()
        )))
    }
}

/// Refuses networks whose predictions have no mean.
fn check(first: &Trained, other: &Trained) -> Result<()> {
    let [one, two] = [first, other].map(|trained| trained.checkpoint.display());
    if first.network.classes != other.network.classes {
        let [of_one, of_two] = [first, other].map(|trained| trained.network.classes.join(", "));
        return Err(usage(format!(
            "--ensemble: {two} has the classes {of_two}, and {one} has {of_one}: average networks with the same \
             classes in the same order"
        )));
    }
    if first.config.data.orientation() != other.config.data.orientation() {
        return Err(usage(format!(
            "--ensemble: {two} and {one} have different values of data.orientation, so they see images turned \
             differently: average networks with the same one"
        )));
    }
    Ok(())
}
