//! The configuration of a run: the crates' sections side by side, read strictly.
//!
//! Nothing here touches anything but the configuration file. A wrong key, type or value is an error that names the
//! file (or `--set`) and the key's full path.

mod edit;
mod saved;
mod strict;
#[cfg(test)]
mod tests;

pub use edit::{differences, flat, keys};
pub use saved::FORMAT;

use crate::cli::Configured;
use crate::report;
use crate::usage::usage;
use anyhow::{Context, Result};
use contract::Invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs;
use std::path::Path;
use tch::Cuda;

/// The built-in configuration, which `train` takes where it is given none.
pub const SHAPES: &str = include_str!("../../../configs/shapes.json");

/// The configuration of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where an editor finds the schema of this file.
    #[serde(rename = "$schema", skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The format of a configuration that was saved with a run. Leave it out of your own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<u64>,
    /// The data set and how it is loaded.
    pub data: data::Config,
    /// The network.
    pub model: model::Config,
    /// What is minimised.
    pub loss: loss::Config,
    /// What changes the weights.
    pub optimizer: optim::Config,
    /// The learning rate over time.
    pub schedule: optim::Schedule,
    /// How long, on what, from which seed.
    pub train: Train,
    /// What is kept of the run.
    pub checkpoint: checkpoint::Config,
    /// What is written down of the run.
    pub summary: summary::Config,
    /// What others get of the trained network.
    pub export: export::Config,
}

/// How long, on what, from which seed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Train {
    /// Epochs in all.
    pub epochs: u64,
    /// What initial weights, order and augmentation are drawn from.
    pub seed: u64,
    /// What to compute on: a GPU if there is one (`auto`), `cpu`, or the first GPU (`cuda`).
    pub device: Device,
    /// Threads that compute; 0 leaves the number to libtorch, which takes all cores.
    pub threads: u16,
    /// What becomes of a run whose loss or gradient is not finite. The weights never take it in.
    pub non_finite: NonFinite,
}

/// What becomes of a run whose loss or gradient is not finite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NonFinite {
    /// Whether the run stops, passes over the batch (`skip`), or goes on from the next batch with weights and optimizer
    /// of the last checkpoint (`rollback`).
    pub policy: Policy,
    /// How often a run may skip or roll back; then it stops after all.
    pub limit: u64,
}

/// How a run goes on when a loss or gradient is not finite.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// Not at all.
    #[default]
    Stop,
    /// Without the batch.
    Skip,
    /// From the weights of the last checkpoint.
    Rollback,
}

impl Default for NonFinite {
    fn default() -> Self {
        Self { policy: Policy::default(), limit: 10 }
    }
}

/// What to compute on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// A GPU if there is one.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// The first GPU.
    Cuda,
}

impl Default for Train {
    fn default() -> Self {
        Self { epochs: 10, seed: 0, device: Device::Auto, threads: 0, non_finite: NonFinite::default() }
    }
}

impl Train {
    fn check(&self) -> Result<(), Invalid> {
        Invalid::unless(self.epochs > 0, "epochs", || "must be at least 1, is 0".into())?;
        Invalid::unless(self.threads <= 1024, "threads", || format!("must be at most 1024, is {}", self.threads))?;
        Invalid::unless(self.seed <= i64::MAX as u64, "seed", || format!("must be at most {}", i64::MAX))
    }

    /// The device, and libtorch told how many threads to use, and the threads of this thread's loops how to wait.
    pub fn device(&self) -> Result<tch::Device> {
        torch_ext::tune_openmp();
        if self.threads > 0 {
            tch::set_num_threads(self.threads.into());
        }
        let cuda = Cuda::is_available();
        match self.device {
            Device::Cuda if !cuda => {
                Err(usage("train.device is 'cuda', but libtorch finds no GPU: use 'auto' or 'cpu'"))
            }
            Device::Cpu => Ok(tch::Device::Cpu),
            Device::Auto | Device::Cuda => Ok(tch::Device::cuda_if_available()),
        }
    }
}

impl Config {
    /// Reads a configuration file.
    pub fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).map_err(|error| usage(format!("{}: {error}", file.display())))?;
        Self::parse(&text, &file.display().to_string())
    }

    /// Reads a configuration that a person wrote, or that of a run; `origin` names it in errors.
    pub fn parse(text: &str, origin: &str) -> Result<Self> {
        let value = strict::parse(text).map_err(|error| usage(format!("{origin}: {error}")))?;
        if value.get("format").is_some() {
            return Self::parse_saved(text, origin);
        }
        Self::typed(value, origin)
    }

    /// The configuration that a command line means.
    pub fn configured(args: &Configured) -> Result<Self> {
        let base = match &args.config {
            Some(file) => Self::read(file)?,
            None => Self::parse(SHAPES, "configs/shapes.json")?,
        };
        base.with(&args.set)
    }

    /// This configuration with `KEY=VALUE` changes, read and checked as if the file had said so.
    pub fn with(&self, changes: &[String]) -> Result<Self> {
        let mut config = self.clone();
        for change in changes {
            let mut value = serde_json::to_value(&config)?;
            let key = edit::set(&mut value, change).map_err(usage)?;
            config = Self::typed(value, &format!("--set {key}"))?;
        }
        Ok(config)
    }

    fn typed(value: Value, origin: &str) -> Result<Self> {
        let config = strict::typed(&value).map_err(|error| usage(format!("{origin}: {error}")))?;
        Self::check(&config).map_err(|invalid| usage(format!("{origin}: {invalid}")))?;
        Ok(config)
    }

    /// Refuses values that no run can work with.
    fn check(&self) -> Result<(), Invalid> {
        let sections = [
            ("data", self.data.check()),
            ("model", self.model.check()),
            ("loss", self.loss.check(self.data.classes().len())),
            ("optimizer", self.optimizer.check()),
            ("schedule", self.schedule.check()),
            ("train", self.train.check()),
            ("checkpoint", self.checkpoint.check()),
            ("export", self.export.check()),
        ];
        for (section, result) in sections {
            result.map_err(|Invalid { key, problem }| Invalid { key: format!("{section}.{key}"), problem })?;
        }
        Ok(())
    }

    /// The configuration as it is saved: every default written out, and the format of it.
    pub fn saved(&self) -> Result<Value> {
        let saved = Self { schema: None, format: Some(FORMAT), ..self.clone() };
        serde_json::to_value(saved).context("writing the configuration as JSON")
    }

    /// [`Config::saved`] as text.
    pub fn resolved(&self) -> Result<String> {
        let saved = Self { schema: None, format: Some(FORMAT), ..self.clone() };
        let mut text = serde_json::to_string_pretty(&saved).context("writing the configuration as JSON")?;
        text.push('\n');
        Ok(text)
    }
}

/// `app schema`
pub fn schema() -> Result<()> {
    report::print(&serde_json::to_string_pretty(&schemars::schema_for!(Config))?)
}
