//! The configuration of the data: which set, of what size, loaded how.

use crate::pipeline::Pipeline;
use crate::{Dataset, Error, OxfordPets, Shapes};
use contract::Invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The largest height and width that a network is fed with; more is a slip of the keyboard.
const LARGEST: u32 = 8192;

/// The most worker threads; more is a slip of the keyboard.
const MOST_WORKERS: u64 = 256;

/// Which data set, named by the key `kind`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[schemars(rename = "Data")]
pub enum Config {
    /// Circles, squares and triangles, drawn on demand: needs no file.
    Shapes(Shapes),
    /// The Oxford-IIIT Pet data set.
    OxfordPets(OxfordPets),
}

/// The two parts of a data set. No sample is in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// What the weights are fitted to.
    Train,
    /// What they are measured on.
    Validation,
}

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
}

impl Default for LoaderConfig {
    fn default() -> Self {
        Self { batch_size: 16, workers: 2, prefetch: 4 }
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
        })
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::Shapes(Shapes::default())
    }
}

impl Config {
    /// Complains about values that cannot work, without touching the disk; keys are relative to the data section.
    pub fn check(&self) -> Result<(), Invalid> {
        for (side, length) in ["height", "width"].into_iter().zip(self.size()) {
            Invalid::unless((1..=LARGEST).contains(&length), "size", || {
                format!("the {side} must be 1 to {LARGEST} pixels, is {length}")
            })?;
        }
        if let Self::Shapes(shapes) = self {
            shapes.check()?;
        }
        let within = |section: &str, result: Result<(), Invalid>| {
            result.map_err(|Invalid { key, problem }| Invalid { key: format!("{section}.{key}"), problem })
        };
        let pipeline = self.pipeline(Split::Train);
        for (position, transform) in pipeline.transforms.iter().enumerate() {
            within(&format!("transforms[{position}]"), transform.check(&self.classes(), self.channels()))?;
        }
        if let Some(normalize) = &pipeline.normalize {
            within("normalize", normalize.check(self.channels()))?;
        }
        within("loader", self.loader().check())
    }

    /// The names of the classes, in the order of their ids.
    pub fn classes(&self) -> Vec<String> {
        let names: &[&str] = match self {
            Self::Shapes(_) => &Shapes::CLASSES,
            Self::OxfordPets(pets) => pets.target.classes(),
        };
        names.iter().map(ToString::to_string).collect()
    }

    /// Height and width of what the network sees, in pixels.
    pub fn size(&self) -> [u32; 2] {
        match self {
            Self::Shapes(shapes) => shapes.size,
            Self::OxfordPets(pets) => pets.preparation.size,
        }
    }

    /// Bytes a pixel of what the network sees.
    pub fn channels(&self) -> u32 {
        3
    }

    /// How samples are put together into batches.
    pub fn loader(&self) -> &LoaderConfig {
        match self {
            Self::Shapes(shapes) => &shapes.loader,
            Self::OxfordPets(pets) => &pets.preparation.loader,
        }
    }

    /// What becomes of the samples of a split.
    pub fn pipeline(&self, split: Split) -> Pipeline {
        let (transforms, normalize) = match self {
            Self::Shapes(shapes) => (&shapes.transforms, &shapes.normalize),
            Self::OxfordPets(pets) => (&pets.preparation.transforms, &pets.preparation.normalize),
        };
        let classes = self.classes();
        let transforms = transforms.iter().map(|transform| transform.resolved(&classes)).collect();
        Pipeline { size: self.size(), transforms, normalize: normalize.clone() }.of(split)
    }

    /// Opens a part of the data set: finds its folders and reads its list, but no sample yet.
    pub fn open(&self, split: Split) -> Result<Box<dyn Dataset>, Error> {
        self.check()?;
        Ok(match self {
            Self::Shapes(shapes) => Box::new(shapes.open(split)),
            Self::OxfordPets(pets) => Box::new(pets.open(split)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn parse(value: Value) -> Result<Config, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn every_key_but_the_root_of_the_pets_has_a_default() {
        assert_eq!(parse(json!({"kind": "shapes"})).unwrap(), Config::default());
        let pets = parse(json!({"kind": "oxford_pets", "root": "pets"})).unwrap();
        assert_eq!((pets.size(), pets.classes().len(), pets.loader().batch_size), ([128, 128], 3, 16));
        assert!(parse(json!({"kind": "oxford_pets"})).unwrap_err().contains("missing field `root`"));
        for config in [Config::default(), pets] {
            config.check().unwrap();
            assert_eq!(parse(serde_json::to_value(&config).unwrap()).unwrap(), config);
        }
    }

    #[test]
    fn class_ids_are_as_documented() {
        let pets = |target| parse(json!({"kind": "oxford_pets", "root": "", "target": target})).unwrap().classes();
        assert_eq!(pets("trimap"), ["pet", "background", "border"]);
        assert_eq!(pets("foreground"), ["background", "pet"]);
        assert_eq!(Config::default().classes(), ["background", "circle", "square", "triangle"]);
    }

    #[test]
    fn unknown_keys_are_errors_wherever_they_are() {
        for (value, key) in [
            (json!({"kind": "shapes", "sizes": [8, 8]}), "sizes"),
            (json!({"kind": "shapes", "root": "pets"}), "root"),
            (json!({"kind": "shapes", "loader": {"batch": 3}}), "batch"),
            (
                json!({"kind": "oxford_pets", "root": "pets", "transforms": [{"kind": "horizontal_flip", "flip": true}]}),
                "flip",
            ),
            (json!({"kind": "circles"}), "circles"),
        ] {
            let error = parse(value).unwrap_err();
            assert!(error.contains(&format!("`{key}`")), "{error}");
        }
    }

    #[test]
    fn impossible_values_name_their_key() {
        for (change, key, says) in [
            (json!({"size": [0, 64]}), "size", "height"),
            (json!({"size": [64, 9000]}), "size", "is 9000"),
            (json!({"size": [64, 8]}), "size", "is 8"),
            (json!({"train_samples": 0}), "train_samples", "is 0"),
            (json!({"validation_samples": 0}), "validation_samples", "is 0"),
            (json!({"loader": {"batch_size": 0}}), "loader.batch_size", "is 0"),
            (json!({"loader": {"workers": 1, "prefetch": 0}}), "loader.prefetch", "is 0"),
            (json!({"loader": {"workers": 1000}}), "loader.workers", "is 1000"),
        ] {
            let mut value = change;
            value["kind"] = "shapes".into();
            let config = parse(value).unwrap();
            let invalid = config.check().unwrap_err();
            assert_eq!(invalid.key, key);
            assert!(invalid.problem.contains(says), "{invalid}");
            assert!(matches!(config.open(Split::Train), Err(Error::Config(_))));
        }
        let without_workers = json!({"kind": "shapes", "loader": {"workers": 0, "prefetch": 0}});
        parse(without_workers).unwrap().check().unwrap();
    }

    #[test]
    fn the_schema_describes_both_kinds() {
        let schema = serde_json::to_string(&schemars::schema_for!(Config)).unwrap();
        for word in ["shapes", "oxford_pets", "trimap", "horizontal_flip", "\"root\"", "Samples in a batch"] {
            assert!(schema.contains(word), "{word} is missing in {schema}");
        }
    }
}
