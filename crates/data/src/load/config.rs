//! Configuration of the loader: batches, threads, cache.

use crate::cache::Cache;
use contract::Invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Maximum number of worker threads; more is a typing error.
const MOST_WORKERS: u64 = 256;

/// Batching and loading of samples.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LoaderConfig {
    /// Number of samples in a batch, of all ranks together; the last one of an epoch may hold fewer.
    #[schemars(extend("x-resume" = "ask"))]
    pub batch_size: u64,
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
    /// Folder of the cache on disk; `null` is `$XDG_CACHE_HOME/oxiseg/data`, or `~/.cache/oxiseg/data`.
    #[schemars(extend("x-resume" = "safe"))]
    pub cache_folder: Option<PathBuf>,
    /// Maximum number of unreadable samples that are left out of their batches, and reported; one more is an error.
    /// With 0, the first is an error.
    #[schemars(extend("x-resume" = "safe"))]
    pub max_skipped: u64,
}

impl Default for LoaderConfig {
    fn default() -> Self {
        Self { batch_size: 16, workers: 2, prefetch: 4, cache: Cache::None, cache_folder: None, max_skipped: 0 }
    }
}

impl LoaderConfig {
    /// Refuses invalid values; keys are relative to this struct.
    pub fn check(&self) -> Result<(), Invalid> {
        Invalid::unless(self.batch_size > 0, "batch_size", || "must be at least 1, is 0".into())?;
        Invalid::unless(self.workers <= MOST_WORKERS, "workers", || {
            format!("must be at most {MOST_WORKERS} threads, is {}", self.workers)
        })?;
        Invalid::unless(self.workers == 0 || self.prefetch > 0, "prefetch", || {
            format!("must be at least 1 batch for the {} workers to have something to do, is 0", self.workers)
        })?;
        Invalid::unless(self.cache == Cache::Disk || self.cache_folder.is_none(), "cache_folder", || {
            "says where a cache on disk lies: leave it out (null), or set cache to \"disk\"".into()
        })
    }
}
