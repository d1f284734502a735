//! Files of post-processing: written by `app tune-postprocessing`, applied by `app predict` and `app validate`.

use crate::cli::{self, How, Mirror};
use crate::common::network::Trained;
use crate::common::usage::usage;
use anyhow::{Context, Result};
use postprocess::{Neighbours, Rules};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::io;
use std::path::{Path, PathBuf};

/// Name of the file in a run's folder.
const NAME: &str = "postprocessing.json";

/// Version of the format.
const VERSION: u32 = 1;

/// Key of the checksum of all others.
const SEAL: &str = "checksum";

/// Range of weights that can be applied.
const WEIGHTS: [f32; 2] = [1e-3, 1e3];

/// Post-processing of class maps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Postprocessing {
    /// [`VERSION`].
    pub version: u32,
    /// Neighbours that connect the pixels of a component: 4 or 8.
    pub connectivity: u8,
    /// Steps of each class, in the order of their ids.
    pub classes: Vec<OfClass>,
    /// Networks on whose predictions the steps were chosen, and their options.
    pub chosen_on: ChosenOn,
    /// Scores of the validation without and with post-processing.
    pub before: Map<String, Value>,
    pub after: Map<String, Value>,
}

/// Steps of a class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfClass {
    pub name: String,
    /// Factor of the class's probability before the most likely class is found.
    pub weight: f32,
    /// Keeps only the largest component in an image.
    pub keep_largest: bool,
    /// Removes components of fewer pixels; 0 removes none.
    pub min_area: u64,
    /// Fills holes.
    pub fill_holes: bool,
}

impl OfClass {
    /// Creates a class without steps.
    pub fn plain(name: &str) -> Self {
        Self { name: name.into(), weight: 1.0, keep_largest: false, min_area: 0, fill_holes: false }
    }

    fn rules(&self) -> Rules {
        Rules { keep_largest: self.keep_largest, min_area: self.min_area, fill_holes: self.fill_holes }
    }
}

/// Predictions on which steps were chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChosenOn {
    pub networks: Vec<Identity>,
    pub options: Options,
    /// Number of validation images.
    pub images: u64,
}

/// Identity of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    pub checkpoint: String,
    pub epoch: u64,
    pub step: u64,
    /// Checksum of the record that the checkpoint keeps of its configuration and data.
    pub origin: String,
}

impl Identity {
    fn of(trained: &Trained) -> Self {
        let origin = blake3::hash(trained.about.to_string().as_bytes()).to_hex().to_string();
        let (epoch, step) = (trained.progress.epoch, trained.progress.step);
        Self { checkpoint: trained.checkpoint.display().to_string(), epoch, step, origin }
    }

    /// Returns true for the same network, wherever it is stored.
    fn is(&self, other: &Self) -> bool {
        (self.epoch, self.step, &self.origin) == (other.epoch, other.step, &other.origin)
    }
}

/// Options of a prediction, as in the command line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    pub tile: Option<i64>,
    pub overlap: f64,
    pub mirror: String,
    pub scales: Vec<f64>,
}

impl Options {
    fn of(how: &How) -> Self {
        let mirror = match how.mirror {
            Mirror::None => "none",
            Mirror::Horizontal => "horizontal",
            Mirror::Both => "both",
        };
        Self { tile: how.tile, overlap: how.overlap, mirror: mirror.into(), scales: how.scales.clone() }
    }
}

impl ChosenOn {
    /// Describes the predictions of these networks with these options.
    pub fn of(networks: &[Trained], how: &How, images: u64) -> Self {
        Self { networks: networks.iter().map(Identity::of).collect(), options: Options::of(how), images }
    }
}

impl Postprocessing {
    /// Creates a file without steps.
    pub fn plain(classes: &[String], connectivity: cli::Connectivity, chosen_on: ChosenOn) -> Self {
        let connectivity = if connectivity == cli::Connectivity::Eight { 8 } else { 4 };
        let classes = classes.iter().map(|name| OfClass::plain(name)).collect();
        Self { version: VERSION, connectivity, classes, chosen_on, before: Map::new(), after: Map::new() }
    }

    /// Reads the file that the command line names, for these networks.
    ///
    /// # Errors
    ///
    /// Fails if the file is missing, is none of this program's, or is for other classes.
    pub fn wanted(which: Option<&cli::Postprocess>, networks: &[Trained], how: &How) -> Result<Option<Self>> {
        let path = match (which, networks) {
            (None, _) | (_, []) => return Ok(None),
            (Some(cli::Postprocess::File(path)), _) => path.clone(),
            (Some(cli::Postprocess::Auto), [first, ..]) => own_file(first)?,
        };
        let found = Self::read(&path)?;
        found.check(&path, networks, how)?;
        log::info!("Post-processing by {}", path.display());
        Ok(Some(found))
    }

    fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let text = match regular::open(path).and_then(io::read_to_string) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(usage(format!(
                    "there is no file {shown}: make one with app tune-postprocessing, or leave out --postprocess"
                )));
            }
            text => text.with_context(|| shown.to_string())?,
        };
        let none = |problem: String| {
            usage(format!(
                "{shown} is no post-processing that can be applied: {problem}. Make one with app tune-postprocessing"
            ))
        };
        let mut value: Map<String, Value> = serde_json::from_str(&text).map_err(|error| none(error.to_string()))?;
        value.remove(SEAL);
        if value.get("version").is_some_and(|version| *version != json!(VERSION)) {
            return Err(none(format!("its version is {}, this program knows {VERSION}", value["version"])));
        }
        let found: Self = serde_json::from_value(value.into()).map_err(|error| none(error.to_string()))?;
        if !matches!(found.connectivity, 4 | 8) {
            return Err(none(format!("connectivity must be 4 or 8, is {}", found.connectivity)));
        }
        let [least, most] = WEIGHTS;
        if let Some(class) = found.classes.iter().find(|class| !(least..=most).contains(&class.weight)) {
            return Err(none(format!(
                "the weight of {} must be from {least} to {most}, is {}",
                class.name, class.weight
            )));
        }
        Ok(found)
    }

    /// Refuses a file for other classes; warns of one that was made for other predictions.
    fn check(&self, path: &Path, networks: &[Trained], how: &How) -> Result<()> {
        let (shown, names) = (path.display(), self.classes.iter().map(|class| &*class.name).collect::<Vec<_>>());
        let classes = networks.first().map(|trained| &trained.network.classes[..]).unwrap_or_default();
        if names != classes {
            return Err(usage(format!(
                "{shown} is for the classes {}, and the network has {}: make one for it with app tune-postprocessing",
                names.join(", "),
                classes.join(", ")
            )));
        }
        let there = ChosenOn::of(networks, how, self.chosen_on.images);
        let same = |(one, other): (&Identity, &Identity)| one.is(other);
        let ChosenOn { networks: chosen, options, .. } = &self.chosen_on;
        if chosen.len() != there.networks.len() || !chosen.iter().zip(&there.networks).all(same) {
            let of: Vec<&str> = chosen.iter().map(|network| &*network.checkpoint).collect();
            log::warn!("{shown} was chosen for another network ({}): it may not help this one", of.join(", "));
        } else if *options != there.options {
            log::warn!("{shown} was chosen with other values of --tile, --overlap, --mirror or --scales");
        }
        Ok(())
    }

    /// Returns the weights of the classes, if they differ.
    pub fn weights(&self) -> Option<Vec<f32>> {
        let weights: Vec<f32> = self.classes.iter().map(|class| class.weight).collect();
        weights.iter().any(|weight| *weight != 1.0).then_some(weights)
    }

    /// Returns the rules for components, if there are any.
    pub fn cleaning(&self) -> Option<Cleaning> {
        let rules: Vec<Rules> = self.classes.iter().map(OfClass::rules).collect();
        rules.iter().any(|rules| !rules.is_none()).then(|| Cleaning { rules, neighbours: self.neighbours() })
    }

    /// Returns the neighbours that connect pixels.
    pub fn neighbours(&self) -> Neighbours {
        if self.connectivity == 8 { Neighbours::Eight } else { Neighbours::Four }
    }

    /// Returns the text of the file, sealed with a checksum.
    pub fn text(&self) -> Result<String> {
        let mut value = serde_json::to_value(self)?;
        let seal = seal(&value);
        value[SEAL] = json!(seal);
        Ok(format!("{value:#}\n"))
    }
}

/// Rules for the components of class maps.
#[derive(Debug, Clone)]
pub struct Cleaning {
    /// Rules of each class.
    pub rules: Vec<Rules>,
    /// Neighbours that connect pixels.
    pub neighbours: Neighbours,
}

/// Returns the path of the file of a run.
///
/// # Errors
///
/// Fails for a network that is not in a run's folder.
pub fn own_file(trained: &Trained) -> Result<PathBuf> {
    let checkpoints = trained.checkpoint.parent().filter(|folder| folder.ends_with("checkpoints"));
    let run = checkpoints.and_then(Path::parent);
    run.map(|run| run.join(NAME)).ok_or_else(|| {
        let path = trained.checkpoint.display();
        usage(format!("{path} is not in the folder of a run, which would have a {NAME}: name the file"))
    })
}

/// Returns true if the file at `path` was written by this program and nobody changed it since.
pub fn is_ours(path: &Path) -> bool {
    let text = regular::open(path).and_then(io::read_to_string).unwrap_or_default();
    let Ok(Value::Object(mut value)) = serde_json::from_str(&text) else { return false };
    let found = value.remove(SEAL);
    found.is_some_and(|found| found == json!(seal(&value.into())))
}

fn seal(value: &Value) -> String {
    blake3::hash(value.to_string().as_bytes()).to_hex().to_string()
}
