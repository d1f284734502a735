//! Opening a data set with the cache that its configuration asks for.

use super::Config;
use crate::cache::memory::in_each;
use crate::cache::{Cache, Cached, Tell, disk};
use crate::error::Error;
use crate::index;
use crate::list::split::Split;
use crate::load::config::LoaderConfig;
use crate::load::dataset::Dataset;
use contract::Invalid;
use std::env;
use std::path::{PathBuf, absolute};
use std::sync::Arc;

impl Config {
    /// Opens a split as [`open`](Self::open) does, with the cache that the configuration asks for. Builds a cache on
    /// disk first if there is none yet, which decodes every sample. Training data get an index of their classes where
    /// crops or the sampler need it; making it reads every mask. `processes` is the number of processes on this
    /// machine that open it, usually 1: each has a cache in memory of its own, and one of them builds that on disk
    /// while the others wait.
    ///
    /// # Errors
    ///
    /// Those of `open`; [`Error::Memory`] and [`Error::NoRoom`] where the cache would not fit; [`Error::Cache`] where
    /// its file cannot be written. A sample that cannot be loaded is no error here; loading it is.
    pub fn open_cached(&self, split: Split, processes: u64, tell: &Tell) -> Result<Arc<dyn Dataset>, Error> {
        let dataset = self.open_stored(split, processes, tell)?;
        let indexed = self.loader().is_weighted() || self.pipeline(split).draws_by_index();
        if split != Split::Train || !indexed {
            return Ok(dataset);
        }
        let (description, stem) = self.described(split)?;
        let folder = folder(self.loader())?;
        Ok(Arc::new(index::open(dataset, &folder, &stem, &description, self.loader().workers, tell)?))
    }

    fn open_stored(&self, split: Split, processes: u64, tell: &Tell) -> Result<Arc<dyn Dataset>, Error> {
        let dataset: Arc<dyn Dataset> = self.open(split)?.into();
        Ok(match self.loader().cache {
            Cache::None => dataset,
            Cache::Memory => in_each(processes, dataset)?,
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
            // What is as it was before these keys existed leaves the caches of that time in use.
            keys.retain(|key, value| match key.as_str() {
                "depth" => *value != "u8",
                "clip" => *value != false,
                "range" | "no_data" | "slices" => !value.is_null(),
                _ => true,
            });
            if self.layout().standardize {
                keys.insert("normalize".into(), "image".into());
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_value, json};

    #[test]
    fn a_cache_is_named_after_what_decides_on_its_samples() {
        let parse = |json| from_value::<Config>(json).unwrap().described(Split::Train).unwrap();
        let pets = |more: Value| {
            let mut json = json!({"kind": "oxford_pets", "root": "a"});
            json.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            parse(json)
        };
        let plain = pets(json!({}));
        assert!(plain.1.starts_with("oxford_pets-train-") && plain.1.len() == 30, "{}", plain.1);
        assert_eq!(plain, pets(json!({"transforms": [], "loader": {"workers": 7}})));
        for other in [json!({"root": "b"}), json!({"size": [9, 9]}), json!({"target": "foreground"})] {
            assert_ne!(plain.1, pets(other).1);
        }
    }
}
