//! Saved networks, with all of the configuration that they were trained with.

use crate::common::config::Config;
use crate::common::network::{Network, Trained};
use crate::common::origin;
use crate::common::usage::usage;
use ::saved::{Content, Description, Error, Origin, Stored, load_weights};
use anyhow::Result;
use checkpoint::Snapshot;
use contract::{Progress, StateDict};
use model::{Precision, Single};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use tch::nn::VarStore;
use torch_ext::Kernels;

/// Describes a network and its origin. Agreements and files are added once they are known.
pub fn description(trained: &Trained) -> Description {
    let Trained { config, checkpoint, progress, scores, about, .. } = trained;
    let checkpoint = checkpoint.display().to_string();
    let run = Origin { checkpoint, epoch: progress.epoch, step: progress.step, about: about.clone() };
    Description::new(&config.data, scores, run)
}

/// Returns whether the network saved in `folder` is that of `snapshot`: the same training at the same step.
pub fn is_of(folder: &Path, snapshot: &Snapshot) -> bool {
    // A description has the configuration in the format of the program that saved it.
    let config = |about: &Value| origin::recorded(about, "").ok();
    Description::read(folder).is_ok_and(|Description { run: Origin { epoch, step, about, .. }, .. }| {
        (epoch, step) == (snapshot.progress.epoch, snapshot.progress.step)
            && about["data"] == snapshot.about["data"]
            && config(&about).is_some_and(|saved| Some(saved) == config(&snapshot.about))
    })
}

/// Loads a saved network. Its configuration, data included, is the one it was trained with, with `changes`.
///
/// Nothing in it is executed, and it names no place that anything is written to.
pub fn load(folder: &Path, changes: &[String]) -> Result<Trained> {
    let stored = Stored::read(folder).map_err(in_usage)?;
    let config = stored.configuration().map_err(in_usage)?.to_string();
    let config = Config::parse_saved(&config, &stored.origin().display().to_string())?.elsewhere()?.with(changes)?;
    let (file, run) = (stored.file.clone(), stored.description.run.clone());
    let device = config.train.device()?;
    let network = match stored.content(device)? {
        Content::Weights(weights) => rebuilt(&file, &config, weights)?,
        Content::Network(model) => {
            let (store, classes) = (VarStore::new(device), config.data.classes());
            let (kernels, precision) = (Kernels::Libtorch, Precision::Fp32);
            Network { store, model: Box::new(Single(Box::new(model))), device, kernels, precision, classes }
        }
    };
    log::info!("Using {} ({} epochs)", file.display(), run.epoch);
    let progress = Progress { epoch: run.epoch, step: run.step, ..Progress::default() };
    Ok(Trained { config, network, checkpoint: folder.into(), progress, scores: BTreeMap::new(), about: run.about })
}

/// Builds the network of a configuration with the weights of the file `path`.
pub fn rebuilt(path: &Path, config: &Config, weights: StateDict) -> Result<Network> {
    let network = Network::build(config)?;
    load_weights(path, &network.store, weights)?;
    Ok(network)
}

/// Marks errors that the user can fix by naming another folder.
fn in_usage(error: Error) -> anyhow::Error {
    match error {
        Error::NoNetwork { .. } | Error::NoFile { .. } | Error::Configuration { .. } => usage(error.to_string()),
        error => error.into(),
    }
}
