//! Configuration of the loader: batches, threads, cache.

use crate::cache::Cache;
use crate::error::within;
use crate::load::sampler::Sampler;
use contract::Invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Maximum number of worker threads; more is a typing error.
const MOST_WORKERS: u64 = 256;

/// Maximum number of samples of an epoch: their order is a list in memory.
const MOST_SAMPLES: u64 = 100_000_000;

/// Batching and loading of samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LoaderConfig {
    /// Number of samples in a batch, of all ranks together; the last one of an epoch may hold fewer.
    #[schemars(extend("x-resume" = "ask"))]
    pub batch_size: u64,
    /// Choice of training samples.
    #[schemars(extend("x-resume" = "ask"))]
    pub sampler: Sampler,
    /// Number of training samples of an epoch, of all ranks together; `null` is that of the data set. An epoch goes on
    /// where the one before ended.
    #[schemars(extend("x-resume" = "ask"))]
    pub epoch_samples: Option<u64>,
    /// Number of threads of each process that load batches during the computation; 0 loads them in the computing
    /// thread.
    #[schemars(extend("x-resume" = "safe"))]
    pub workers: u64,
    /// Maximum number of batches that are ready or being loaded; more workers than this are idle.
    #[schemars(extend("x-resume" = "safe"))]
    pub prefetch: u64,
    /// Storage of decoded and resized samples.
    #[schemars(extend("x-resume" = "safe"))]
    pub cache: Cache,
    /// Folder of the cache on disk and of the index of the classes; `null` is `$XDG_CACHE_HOME/oxiseg/data`, or
    /// `~/.cache/oxiseg/data`.
    #[schemars(extend("x-resume" = "safe"))]
    pub cache_folder: Option<PathBuf>,
    /// Maximum number of unreadable samples that are left out of their batches, and reported; one more is an error.
    /// With 0, the first is an error.
    #[schemars(extend("x-resume" = "safe"))]
    pub max_skipped: u64,
}

impl Default for LoaderConfig {
    fn default() -> Self {
        Self {
            batch_size: 16,
            sampler: Sampler::default(),
            epoch_samples: None,
            workers: 2,
            prefetch: 4,
            cache: Cache::None,
            cache_folder: None,
            max_skipped: 0,
        }
    }
}

impl LoaderConfig {
    /// Refuses invalid values; keys are relative to this struct.
    pub fn check(&self) -> Result<(), Invalid> {
        self.check_with(false)
    }

    /// Does the same for a pipeline that is `indexed`: it draws pieces by an index of the classes.
    pub(crate) fn check_with(&self, indexed: bool) -> Result<(), Invalid> {
        Invalid::unless(self.batch_size > 0, "batch_size", || "must be at least 1, is 0".into())?;
        Invalid::unless(self.workers <= MOST_WORKERS, "workers", || {
            format!("must be at most {MOST_WORKERS} threads, is {}", self.workers)
        })?;
        Invalid::unless(self.workers == 0 || self.prefetch > 0, "prefetch", || {
            format!("must be at least 1 batch for the {} workers to have something to do, is 0", self.workers)
        })?;
        within("sampler", self.sampler.check())?;
        let epoch = self.epoch_samples.unwrap_or(1);
        Invalid::unless((1..=MOST_SAMPLES).contains(&epoch), "epoch_samples", || {
            format!("must be 1 to {MOST_SAMPLES} samples, or null for those of the data set, is {epoch}")
        })?;
        let stores = self.cache == Cache::Disk || indexed || self.is_weighted();
        Invalid::unless(stores || self.cache_folder.is_none(), "cache_folder", || {
            "says where a cache on disk or an index of the classes lies: leave it out (null), or set cache to \"disk\""
                .into()
        })
    }

    /// Returns whether samples are drawn by their classes.
    pub(crate) fn is_weighted(&self) -> bool {
        self.sampler != Sampler::default()
    }
}
