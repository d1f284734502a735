//! A network with its variables, built from a configuration or trained.

use crate::common::bounds;
use crate::common::config::{Config, Deterministic};
use anyhow::{Context, Result};
use contract::{Progress, Ranks};
use metric::Segmentation;
use model::Precision;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use tch::Device;
use tch::nn::VarStore;
use torch_ext::Kernels;

/// A network and its variables.
pub struct Network {
    /// Variables of the network.
    pub store: VarStore,
    /// The network's forward pass.
    pub model: Box<dyn model::Network>,
    /// Device that it is on.
    pub device: Device,
    /// Kernels that it computes with on a CPU.
    pub kernels: Kernels,
    /// Precision that it computes in.
    pub precision: Precision,
    /// Names of the classes, by id.
    pub classes: Vec<String>,
}

impl Network {
    /// Builds a network with the kernels that are best on this processor, and draws its initial weights from the seed.
    pub fn build(config: &Config) -> Result<Self> {
        let common = config.model.common();
        Self::build_with(config, common.fused.kernels(common.precision), None)
    }

    /// Does the same as [`build`](Self::build), with given kernels. With `ranks`, BatchNorm takes its statistics in
    /// training over the batches of all of them.
    pub fn build_with(config: &Config, kernels: Kernels, ranks: Option<Arc<dyn Ranks>>) -> Result<Self> {
        let device = config.train.device()?;
        bounds::remember(config, device);
        if device.is_cuda() {
            torch_ext::deterministic(config.train.deterministic != Deterministic::Off)?;
        }
        // Keeps freed memory: a step is faster, and the program larger.
        if !config.model.common().recompute {
            torch_ext::tune_allocator();
        }
        let classes = config.data.classes();
        let store = VarStore::new(device);
        tch::manual_seed(config.train.seed as i64);
        let model = config
            .model
            .build_with(&store, config.data.channels().into(), classes.len() as i64, kernels, ranks)
            .context("building the model")?;
        let precision = config.model.common().precision.on(device)?;
        Ok(Self { store, model, device, kernels, precision, classes })
    }

    /// Returns an empty metric for the network's classes.
    pub fn metric(&self) -> Result<Segmentation> {
        Ok(Segmentation::new(self.classes.clone(), self.device)?)
    }
}

/// A trained network.
pub struct Trained {
    /// Configuration that it was trained with, with the changes of the command line.
    pub config: Config,
    pub network: Network,
    /// Folder of the checkpoint or the saved network that its weights come from.
    pub checkpoint: PathBuf,
    /// Progress of its training.
    pub progress: Progress,
    /// Validation scores of the checkpoint.
    pub scores: BTreeMap<String, f64>,
    /// Record of the checkpoint's origin.
    pub about: Value,
}
