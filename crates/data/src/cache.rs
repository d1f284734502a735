//! Caches of samples as a data set gives them (decoded, resized, before any transform), so that each is decoded once:
//! in memory for this process, or in a file for all processes.
//!
//! A cache is a [`Dataset`] over another one. It asks its source for everything that it cannot give, so samples and
//! errors are the same with and without it.

mod build;
mod disk;
mod format;
mod memory;
#[cfg(test)]
mod tests;

use crate::config::{Config, Split};
use crate::dataset::{Dataset, Sample, Source};
use crate::decode::Remark;
use crate::error::Error;
use crate::loader::LoaderConfig;
use contract::Invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::env;
use std::path::{Path, PathBuf, absolute};
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
trait Store: Send + Sync {
    /// As [`Dataset::load`].
    fn load(&self, source: &dyn Dataset, index: u64, sample: &mut Sample) -> Result<(), Error>;

    /// As [`Dataset::mask`].
    fn mask(&self, source: &dyn Dataset, index: u64) -> Result<Vec<u8>, Error>;
}

/// A data set, with its samples kept in a store.
struct Cached<S> {
    source: Arc<dyn Dataset>,
    store: S,
}

impl<S: Store> Dataset for Cached<S> {
    fn len(&self) -> u64 {
        self.source.len()
    }

    fn size(&self) -> Option<[u32; 2]> {
        self.source.size()
    }

    fn channels(&self) -> u32 {
        self.source.channels()
    }

    fn name(&self, index: u64) -> String {
        self.source.name(index)
    }

    fn load(&self, index: u64, sample: &mut Sample) -> Result<(), Error> {
        self.store.load(self.source.as_ref(), index, sample)
    }

    fn mask(&self, index: u64) -> Result<Vec<u8>, Error> {
        self.store.mask(self.source.as_ref(), index)
    }

    fn whole(&self, index: u64, sample: &mut Sample) -> Result<(), Error> {
        self.source.whole(index, sample)
    }

    fn paths(&self, index: u64) -> Result<Vec<PathBuf>, Error> {
        self.source.paths(index)
    }

    fn remarks(&self, index: u64) -> Vec<(Remark, PathBuf)> {
        self.source.remarks(index)
    }

    fn source(&self, index: u64) -> Result<Source, Error> {
        self.source.source(index)
    }
}

impl Config {
    /// Opens a split as [`open`](Self::open) does, with the cache that the configuration asks for. Builds a cache on
    /// disk first if there is none yet, which decodes every sample.
    ///
    /// # Errors
    ///
    /// Those of `open`; [`Error::Memory`] and [`Error::NoRoom`] where the cache would not fit; [`Error::Cache`] where
    /// its file cannot be written. A sample that cannot be loaded is no error here; loading it is.
    pub fn open_cached(&self, split: Split, tell: &Tell) -> Result<Arc<dyn Dataset>, Error> {
        let dataset: Arc<dyn Dataset> = self.open(split)?.into();
        Ok(match self.loader().cache {
            Cache::None => dataset,
            Cache::Memory => {
                let store = memory::InMemory::new(dataset.as_ref())?;
                Arc::new(Cached { source: dataset, store })
            }
            Cache::Disk => {
                let (description, stem) = self.described(split)?;
                let folder = folder(self.loader())?;
                let store = disk::open(&dataset, &folder, &stem, &description, self.loader().workers, tell)?;
                Arc::new(Cached { source: dataset, store })
            }
        })
    }

    /// Returns a description of everything but the files that decides on a split's samples, and the name of its cache.
    fn described(&self, split: Split) -> Result<(String, String), Invalid> {
        let invalid = |problem: String| Invalid { key: "loader.cache".into(), problem };
        let mut value = serde_json::to_value(self).map_err(|error| invalid(error.to_string()))?;
        if let Some(keys) = value.as_object_mut() {
            for key in ["loader", "transforms", "normalize"] {
                keys.remove(key);
            }
            if let Some(root) = keys.get_mut("root") {
                let path = absolute(root.as_str().unwrap_or_default()).map_err(|error| invalid(error.to_string()))?;
                *root = path.to_string_lossy().into();
            }
        }
        let split = split.name();
        let description = format!("{split} {value}");
        let hash = blake3::hash(description.as_bytes()).to_hex();
        let kind = value.get("kind").and_then(|kind| kind.as_str()).unwrap_or_default();
        let stem = format!("{kind}-{split}-{:.12}", hash.as_str());
        Ok((description, stem))
    }
}

fn folder(config: &LoaderConfig) -> Result<PathBuf, Invalid> {
    let variable = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let named = config.cache_folder.clone();
    let usual = || variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    named.or_else(|| Some(usual()?.join("oxiseg/data"))).ok_or_else(|| Invalid {
        key: "loader.cache_folder".into(),
        problem: "must name a folder, for neither XDG_CACHE_HOME nor HOME is set".into(),
    })
}
