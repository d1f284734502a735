//! Configuration of a run: the crates' sections side by side, read strictly.
//!
//! This module touches nothing but the configuration file, and the annotation files that name the classes where it does
//! not. A wrong key, type or value is an error that names the file (or `--set`) and the key's full path.

mod distributed;
mod edit;
mod keys;
mod read;
mod rules;
mod saved;
mod schema;
mod strict;
#[cfg(test)]
mod tests;
mod text;
mod words;

pub use self::distributed::{Backend, Distributed};
pub use keys::{differences, flat, keys};
pub use rules::{Rule, may_change, rule};
pub use schema::print as schema;
pub use words::{nearest, nearest_key};

use crate::common::ranked;
use crate::common::usage::usage;
use anyhow::Result;
use contract::Invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use session::{EarlyStopping, NonFinite, Save};
use std::sync::atomic::{AtomicBool, Ordering};
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
    /// Training of several processes.
    pub distributed: Distributed,
    /// Saving and retention of checkpoints.
    pub checkpoint: Checkpoint,
    /// Logs and report of the run.
    pub summary: summary::Config,
    /// Export of the trained network.
    pub export: export::Config,
}

/// Length, device and seed of the training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Train {
    /// Total number of epochs.
    #[schemars(extend("x-resume" = "safe"))]
    pub epochs: u64,
    /// Seed of the initial weights, the sample order and the augmentation.
    #[schemars(extend("x-resume" = "ask"))]
    pub seed: u64,
    /// Device to compute on: a GPU if there is one (`auto`), the CPU (`cpu`), or the first GPU (`cuda`). Of several
    /// ranks on a machine, each takes the GPU of its own number.
    #[schemars(extend("x-resume" = "safe"))]
    pub device: Device,
    /// Number of compute threads; 0 leaves it to libtorch, which uses all cores.
    #[schemars(extend("x-resume" = "safe"))]
    pub threads: u16,
    /// Deterministic algorithms on a GPU, which exact resuming needs: wherever all operators have one (`auto`), without
    /// exception (`on`: a network with an operator that has none is refused), or never (`off`). A CPU always has them.
    #[schemars(extend("x-resume" = "safe"))]
    pub deterministic: Deterministic,
    /// Largest share of a GPU's memory that this process takes, above 0 and up to 1, for several processes on one GPU;
    /// null sets no limit.
    #[schemars(extend("x-resume" = "safe"))]
    pub memory_fraction: Option<f64>,
    /// Capture of whole training steps as a CUDA graph, which is replayed: on a GPU (`auto`), or never (`off`). It
    /// changes no result. A small network trains up to 2.6 times as fast.
    #[schemars(extend("x-resume" = "safe"))]
    pub graph: Capturing,
    /// Handling of batches whose loss or gradient is not finite. Such a batch never changes the weights.
    pub non_finite: NonFinite,
    /// End of the training before its last epoch, once a validation score has stopped improving; null for none. On
    /// resuming the rule in force decides, so a run that ended early goes on with more patience.
    #[schemars(extend("x-resume" = "safe"))]
    pub early_stopping: Option<EarlyStopping>,
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

/// Deterministic algorithms on a GPU.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Deterministic {
    /// If every operator has one; else a warning names those that have none.
    #[default]
    Auto,
    /// Always: an operator that has none is an error.
    On,
    /// The fastest algorithms; resuming is not exact.
    Off,
}

/// Capture of training steps as a CUDA graph.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Capturing {
    /// On a GPU, where the program was compiled with CUDA's headers and the step can be captured.
    #[default]
    Auto,
    /// Never.
    Off,
}

/// Saving and retention of checkpoints.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Checkpoint {
    /// Schedule of checkpoints.
    #[serde(flatten)]
    pub save: Save,
    /// Retention of checkpoints.
    #[serde(flatten)]
    pub keep: checkpoint::Config,
}

impl Default for Train {
    fn default() -> Self {
        Self {
            epochs: 10,
            seed: 0,
            device: Device::Auto,
            threads: 0,
            deterministic: Deterministic::Auto,
            memory_fraction: None,
            graph: Capturing::Auto,
            non_finite: NonFinite::default(),
            early_stopping: None,
        }
    }
}

impl Train {
    fn check(&self) -> Result<(), Invalid> {
        Invalid::unless(self.epochs > 0, "epochs", || "must be at least 1, is 0".into())?;
        Invalid::unless(self.threads <= 1024, "threads", || format!("must be at most 1024, is {}", self.threads))?;
        Invalid::unless(self.seed <= i64::MAX as u64, "seed", || format!("must be at most {}", i64::MAX))?;
        let early = self.early_stopping.as_ref().map_or(Ok(()), EarlyStopping::check);
        early.map_err(|invalid| Invalid { key: format!("early_stopping.{}", invalid.key), ..invalid })?;
        let fraction = self.memory_fraction.unwrap_or(1.0);
        Invalid::unless(fraction > 0.0 && fraction <= 1.0, "memory_fraction", || {
            format!("must be above 0 and at most 1, is {fraction}")
        })
    }

    /// Returns the device. Also sets libtorch's number of threads, the waiting policy of OpenMP threads, and, the first
    /// time, the limit of a GPU's memory.
    pub fn device(&self) -> Result<tch::Device> {
        torch_ext::tune_openmp();
        if self.threads > 0 {
            tch::set_num_threads(self.threads.into());
        }
        let cuda = Cuda::is_available();
        let device = match self.device {
            Device::Cuda if !cuda => {
                return Err(usage("train.device is 'cuda', but libtorch finds no GPU: use 'auto' or 'cpu'"));
            }
            Device::Cpu => tch::Device::Cpu,
            Device::Auto | Device::Cuda if cuda => {
                let count = usize::try_from(Cuda::device_count()).unwrap_or(0);
                warn_if_shared(count);
                tch::Device::Cuda(gpu(ranked::local_rank(), count))
            }
            Device::Auto | Device::Cuda => tch::Device::Cpu,
        };
        if let Some(fraction) = self.memory_fraction.filter(|_| device.is_cuda()) {
            // libtorch takes a limit only before it uses the GPU.
            static LIMITED: AtomicBool = AtomicBool::new(false);
            if !LIMITED.swap(true, Ordering::Relaxed) {
                torch_ext::memory_fraction(fraction)?;
            }
        }
        Ok(device)
    }
}

/// Returns the number of the GPU that a rank of this machine computes on, of `count`: that of its own number, or where
/// there are more ranks than GPUs, one that it shares. (A rank may also see one GPU since its launcher hides the rest.)
fn gpu(local_rank: Option<usize>, count: usize) -> usize {
    local_rank.unwrap_or(0) % count.max(1)
}

/// Warns, on the first rank of a machine and once, if ranks share its GPUs.
fn warn_if_shared(gpus: usize) {
    static SAID: AtomicBool = AtomicBool::new(false);
    if let Some(sharing) = ranked::sharing(gpus).filter(|_| !SAID.swap(true, Ordering::Relaxed)) {
        log::warn!("{sharing}");
    }
}

impl Config {
    /// Adds the names of the classes where annotation files have them. Saved configurations have them already.
    fn complete(&mut self) -> Result<(), Invalid> {
        let within = |Invalid { key, problem }| Invalid { key: format!("data.{key}"), problem };
        self.data = std::mem::take(&mut self.data).completed().map_err(within)?;
        Ok(())
    }

    /// Rejects values that no run can work with.
    fn check(&self) -> Result<(), Invalid> {
        let sections = [
            ("data", self.data.check()),
            ("model", self.model.check()),
            ("loss", self.loss.check(self.data.classes().len())),
            ("optimizer", self.optimizer.check()),
            ("schedule", self.schedule.check(self.optimizer.learning_rate)),
            ("train", self.train.check()),
            ("distributed", self.distributed.check()),
            ("checkpoint", self.checkpoint.save.check()),
            ("checkpoint", self.checkpoint.keep.check()),
            ("export", self.export.check()),
        ];
        for (section, result) in sections {
            result.map_err(|Invalid { key, problem }| Invalid { key: format!("{section}.{key}"), problem })?;
        }
        Ok(())
    }
}
