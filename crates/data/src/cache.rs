//! Samples kept as a data set gives them (decoded, resized, before any transform), so that each is decoded once: in
//! memory for this process, or in a file for all of them.
//!
//! A cache is a [`Dataset`] over another one. Whatever it cannot give, the other one is asked for, so samples and errors
//! are the same with and without.

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

/// Where samples are kept once they are decoded and resized.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Cache {
    /// Nowhere: each is decoded whenever it is needed.
    #[default]
    None,
    /// In memory, as they are first needed.
    Memory,
    /// In a file that is made at the start and mapped into memory; processes share it, and later runs find it.
    Disk,
}

/// What happens to a cache on disk.
#[derive(Debug, Clone, Copy)]
pub enum Told<'a> {
    /// Another process is making it.
    Waiting(&'a Path),
    /// A file that was there does not serve any more.
    Unfit {
        /// The file.
        path: &'a Path,
        /// Why.
        reason: &'a str,
    },
    /// It is being made.
    Building {
        /// Samples that are in it.
        done: u64,
        /// Samples that there are.
        total: u64,
    },
    /// It is ready.
    Ready(&'a Path),
    /// The bytes of a sample are not what was written: it, and any other like it, is loaded from its source from now on.
    /// The file was removed, so that the next run makes it anew. Told of the first such sample only.
    Damaged {
        /// The file.
        path: &'a Path,
        /// The sample.
        name: &'a str,
    },
}

/// Whoever wants to hear of it, from any thread.
pub type Tell = Arc<dyn Fn(Told<'_>) + Send + Sync>;

/// What keeps samples: it gives them, or asks the data set that they come from.
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
    /// [`open`](Self::open), with the cache that the configuration asks for. One on disk is made first, if there is none
    /// yet: that decodes everything.
    ///
    /// Errors: those of `open`; [`Error::Memory`] and [`Error::NoRoom`] where the cache would not fit; [`Error::Cache`]
    /// where its file cannot be written. A sample that cannot be loaded is none: loading it is.
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

    /// All that decides on what the samples of a split are beside the files, and the name of its cache.
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
