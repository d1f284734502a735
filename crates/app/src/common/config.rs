//! Configuration of a run: the crates' sections side by side, read strictly.
//!
//! This module touches nothing but the configuration file. A wrong key, type or value is an error that names the file
//! (or `--set`) and the key's full path.

mod edit;
mod saved;
mod strict;
#[cfg(test)]
mod tests;
mod text;
mod words;

pub use ::saved::FORMAT;
pub use edit::{differences, flat, keys};
pub use words::{nearest, nearest_key};

use crate::cli::Configured;
use crate::common::output;
use crate::common::usage::usage;
use anyhow::{Context, Result};
use contract::Invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use session::NonFinite;
use std::path::Path;
use strict::Problem;
use tch::Cuda;

/// Built-in configuration, the default of a new run.
pub const SHAPES: &str = include_str!("../../../../configs/shapes.json");

/// Configuration of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Path or address of this file's JSON schema, for editors.
    #[serde(rename = "$schema", skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Format version of a configuration that was saved with a run. Leave it out of your own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<u64>,
    /// Data set and data loading.
    pub data: data::Config,
    /// Network architecture.
    pub model: model::Config,
    /// Loss function.
    pub loss: loss::Config,
    /// Optimizer.
    pub optimizer: optim::Config,
    /// Learning-rate schedule.
    pub schedule: optim::Schedule,
    /// Length, device and seed of the training.
    pub train: Train,
    /// Saving and retention of checkpoints.
    pub checkpoint: checkpoint::Config,
    /// Logs and report of the run.
    pub summary: summary::Config,
    /// Export of the trained network.
    pub export: export::Config,
}

/// Length, device and seed of the training.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Train {
    /// Total number of epochs.
    pub epochs: u64,
    /// Seed of the initial weights, the sample order and the augmentation.
    pub seed: u64,
    /// Device to compute on: a GPU if there is one (`auto`), the CPU (`cpu`), or the first GPU (`cuda`).
    pub device: Device,
    /// Number of compute threads; 0 leaves it to libtorch, which uses all cores.
    pub threads: u16,
    /// Handling of batches whose loss or gradient is not finite. Such a batch never changes the weights.
    pub non_finite: NonFinite,
}

/// Device to compute on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// A GPU if there is one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
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

    /// Returns the device. Also sets libtorch's number of threads and the waiting policy of OpenMP threads.
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
    /// Parses a configuration, handwritten or saved; `origin` names it in errors.
    #[cfg(test)]
    pub fn parse(text: &str, origin: &str) -> Result<Self> {
        Self::built(value(text, origin)?, &[], origin)
    }

    /// Reads a saved configuration (see [`Config::saved`]) from a file.
    pub fn read_saved(file: &Path) -> Result<Self> {
        Self::parse_saved(&text::read(file)?, &file.display().to_string())
    }

    /// Returns the configuration that the command line selects.
    pub fn configured(args: &Configured) -> Result<Self> {
        Self::given(args.config.as_deref(), &args.set, None)
    }

    /// Returns the configuration of `file`, or the built-in one, with `KEY=VALUE` changes. If it resumes `run`, a key
    /// that it does not name, and whose default changed since the run began, keeps the run's value.
    pub fn given(file: Option<&Path>, changes: &[String], run: Option<&Self>) -> Result<Self> {
        let (text, origin) = match file {
            Some(file) => (text::read(file).map_err(|error| usage(format!("{error:#}")))?, file.display().to_string()),
            None => (SHAPES.into(), "configs/shapes.json".into()),
        };
        let mut value = value(&text, &origin)?;
        if let Some(run) = run {
            saved::keep_young(&mut value, &run.saved()?);
        }
        Self::built(value, changes, &origin)
    }

    /// Returns this configuration with `KEY=VALUE` changes, checked as if they stood in the file.
    pub fn with(&self, changes: &[String]) -> Result<Self> {
        Self::built(serde_json::to_value(self)?, changes, "the configuration")
    }

    /// Returns this configuration without settings that hold only where it was saved: no cache is written to a path
    /// that somebody else chose, and a machine without a GPU uses the CPU.
    pub fn elsewhere(&self) -> Result<Self> {
        let mut changes = vec!["data.loader.cache_folder=null", "data.loader.cache=none"];
        if self.train.device == Device::Cuda {
            changes.push("train.device=auto");
        }
        self.with(&changes.into_iter().map(String::from).collect::<Vec<_>>())
    }

    /// Returns the configuration that `value` describes once all `changes` are applied. Only then is it checked.
    fn built(value: Value, changes: &[String], origin: &str) -> Result<Self> {
        let changes = edit::changes(changes).map_err(usage)?;
        let checked = |value: &Value| -> Result<Self, Problem> {
            let config = Self { format: None, ..strict::typed(value)? };
            config.check()?;
            Ok(config)
        };
        let mut changed = value.clone();
        changes.iter().try_for_each(|change| edit::make(&mut changed, change)).map_err(usage)?;
        checked(&changed).map_err(|problem| {
            let (said, of_file) =
                (words::plain(&problem, &changed), || checked(&value).is_err_and(|old| old == problem));
            usage(match edit::guilty(&changes, &problem.path) {
                Some(change) => format!("--set {}: {}", change.key, change.explain(&problem, &said)),
                None if changes.is_empty() || of_file() => format!("{origin}: {said}"),
                None => {
                    let all: Vec<String> = changes.iter().map(|change| format!("--set {}", change.key)).collect();
                    format!("{}: {said}", all.join(" with "))
                }
            })
        })
    }

    /// Rejects values that no run can work with.
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

    /// Returns the configuration as it is saved: with all defaults written out, and its format version.
    pub fn saved(&self) -> Result<Value> {
        let saved = Self { schema: None, format: Some(FORMAT), ..self.clone() };
        serde_json::to_value(saved).context("writing the configuration as JSON")
    }

    /// Returns [`Config::saved`] as text.
    pub fn resolved(&self) -> Result<String> {
        let saved = Self { schema: None, format: Some(FORMAT), ..self.clone() };
        let mut text = serde_json::to_string_pretty(&saved).context("writing the configuration as JSON")?;
        text.push('\n');
        Ok(text)
    }
}

/// Parses `text` and upgrades it to the current format.
fn value(text: &str, origin: &str) -> Result<Value> {
    let value = strict::parse(text).map_err(|error| usage(format!("{origin}: {error}")))?;
    // Only this program writes the format.
    if value.get("format").is_some() { saved::saved(text, origin) } else { Ok(value) }
}

/// `app schema`
pub fn schema() -> Result<()> {
    output::print(&serde_json::to_string_pretty(&schemars::schema_for!(Config))?)
}
