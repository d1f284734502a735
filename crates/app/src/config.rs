//! The configuration of a run: the crates' sections side by side, read strictly.
//!
//! Nothing here touches anything but the configuration file. A wrong key, type or value is an error that names the
//! file (or `--set`) and the key's full path.

mod edit;
mod saved;
mod strict;
#[cfg(test)]
mod tests;
mod text;
mod words;

pub use edit::{differences, flat, keys};
pub use saved::FORMAT;
pub use words::{nearest, nearest_key};

use crate::cli::Configured;
use crate::report;
use crate::usage::usage;
use anyhow::{Context, Result};
use contract::Invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;
use strict::Problem;
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
    /// Reads a configuration that a person wrote, or that of a run; `origin` names it in errors.
    #[cfg(test)]
    pub fn parse(text: &str, origin: &str) -> Result<Self> {
        Self::built(value(text, origin)?, &[], origin)
    }

    /// Reads what [`Config::saved`] wrote into a file.
    pub fn read_saved(file: &Path) -> Result<Self> {
        Self::parse_saved(&text::read(file)?, &file.display().to_string())
    }

    /// The configuration that a command line means.
    pub fn configured(args: &Configured) -> Result<Self> {
        Self::given(args.config.as_deref(), &args.set, None)
    }

    /// The configuration of `file`, or else the built-in one, with `KEY=VALUE` changes. What a `run` goes on with is
    /// also what that has of keys whose default changed since it was begun.
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

    /// This configuration with `KEY=VALUE` changes, read and checked as if the file had said so.
    pub fn with(&self, changes: &[String]) -> Result<Self> {
        Self::built(serde_json::to_value(self)?, changes, "the configuration")
    }

    /// This configuration without what is true only where it was saved: no cache is written at a place that somebody
    /// else chose, and a machine without a GPU takes the processor.
    pub fn elsewhere(&self) -> Result<Self> {
        let mut changes = vec!["data.loader.cache_folder=null", "data.loader.cache=none"];
        if self.train.device == Device::Cuda {
            changes.push("train.device=auto");
        }
        self.with(&changes.into_iter().map(String::from).collect::<Vec<_>>())
    }

    /// The configuration that `value` describes once all `changes` are made. Only then is it checked.
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

/// Parses `text` and brings it to the current format.
fn value(text: &str, origin: &str) -> Result<Value> {
    let value = strict::parse(text).map_err(|error| usage(format!("{origin}: {error}")))?;
    // Only this program writes the format.
    if value.get("format").is_some() { saved::saved(text, origin) } else { Ok(value) }
}

/// `app schema`
pub fn schema() -> Result<()> {
    report::print(&serde_json::to_string_pretty(&schemars::schema_for!(Config))?)
}
