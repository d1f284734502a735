//! Caches of samples as a data set gives them (decoded, resized, before any transform), so that each is decoded once:
//! in memory for this process, or in a file for all processes.
//!
//! A cache is a [`Dataset`] over another one. It asks its source for everything that it cannot give, so samples and
//! errors are the same with and without it.

pub(crate) mod build;
pub(crate) mod disk;
pub(crate) mod format;
pub(crate) mod memory;
#[cfg(test)]
mod tests;

use crate::error::Error;
use crate::load::dataset::{Dataset, as_the_source};
use crate::load::{Sample, Target};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

/// Storage of decoded and resized samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Cache {
    /// No cache: each sample is decoded whenever it is needed.
    #[default]
    None,
    /// In memory, filled as samples are first needed.
    Memory,
    /// In a memory-mapped file that is built at the start; processes share it, and later runs reuse it.
    Disk,
}

/// An event of a cache on disk.
#[derive(Debug, Clone, Copy)]
pub enum Told<'a> {
    /// Another process is building it.
    Waiting(&'a Path),
    /// An existing file cannot be used any more.
    Unfit {
        /// The file.
        path: &'a Path,
        /// The reason.
        reason: &'a str,
    },
    /// It is being built.
    Building {
        /// Number of samples in it.
        done: u64,
        /// Total number of samples.
        total: u64,
    },
    /// It is ready.
    Ready(&'a Path),
    /// The index of the classes is being made.
    Indexing {
        /// Number of masks that were read.
        done: u64,
        /// Total number of masks.
        total: u64,
    },
    /// The index of the classes is ready.
    Indexed(&'a Path),
    /// The index of the classes cannot be written; it is kept in memory, and made anew by each run.
    Unkept {
        /// The file.
        path: &'a Path,
        /// The reason.
        reason: &'a str,
    },
    /// The bytes of a sample are not those that were written: from now on it, and any other damaged sample, is loaded
    /// from its source. The file was removed, so that the next run builds it anew. Reported for the first damaged
    /// sample only.
    Damaged {
        /// The file.
        path: &'a Path,
        /// The sample.
        name: &'a str,
    },
}

/// Receiver of cache events, called from any thread.
pub type Tell = Arc<dyn Fn(Told<'_>) + Send + Sync>;

/// Storage of samples: returns a stored one, or loads it from the source data set.
pub(crate) trait Store: Send + Sync {
    /// As [`Dataset::load`].
    fn load(&self, source: &dyn Dataset, index: u64, sample: &mut Sample) -> Result<(), Error>;

    /// As [`Dataset::target`].
    fn target(&self, source: &dyn Dataset, index: u64) -> Result<Target, Error>;
}

/// A data set, with its samples kept in a store.
pub(crate) struct Cached<S> {
    pub(crate) source: Arc<dyn Dataset>,
    pub(crate) store: S,
}

impl<S: Store> Dataset for Cached<S> {
    as_the_source!();

    fn load(&self, index: u64, sample: &mut Sample) -> Result<(), Error> {
        self.store.load(self.source.as_ref(), index, sample)
    }

    fn target(&self, index: u64) -> Result<Target, Error> {
        self.store.target(self.source.as_ref(), index)
    }
}
