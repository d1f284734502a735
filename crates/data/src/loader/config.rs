//! The configuration of the loader: batches, threads, cache.

use crate::cache::Cache;
use contract::Invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The most worker threads; more is a slip of the keyboard.
const MOST_WORKERS: u64 = 256;

/// How samples are put together into batches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LoaderConfig {
    /// Samples in a batch; the last one of an epoch may hold fewer.
    pub batch_size: u64,
    /// Threads that load batches while others are being computed with; 0 loads them in the computing thread.
    pub workers: u64,
    /// Batches that are held ready or in the making, at most; the workers beyond that number have nothing to do.
    pub prefetch: u64,
    /// Where samples are kept once they are decoded and resized.
    pub cache: Cache,
    /// The folder of the cache on disk; `null` is `$XDG_CACHE_HOME/oxiseg/data`, or `~/.cache/oxiseg/data`.
    pub cache_folder: Option<PathBuf>,
    /// How many samples that cannot be loaded are left out of their batches, and reported; one more is an error. 0: the
    /// first is an error.
    pub max_skipped: u64,
}

impl Default for LoaderConfig {
    fn default() -> Self {
        Self { batch_size: 16, workers: 2, prefetch: 4, cache: Cache::None, cache_folder: None, max_skipped: 0 }
    }
}

impl LoaderConfig {
    /// Complains about values that cannot work; keys are relative to this struct.
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
