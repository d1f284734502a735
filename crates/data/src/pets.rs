//! The Oxford-IIIT Pet data set: photographs of cats and dogs, with a mask (a "trimap") for each.
//!
//! O. M. Parkhi, A. Vedaldi, A. Zisserman, C. V. Jawahar, "Cats and Dogs", CVPR 2012. Its root holds `images/NAME.jpg`,
//! `annotations/trimaps/NAME.png` and the lists `annotations/trainval.txt` and `annotations/test.txt`. Only files that
//! a list names are touched: archives of the set carry stray ones (`._NAME.png`, `.mat`).

use crate::Augment;
use crate::config::{LoaderConfig, Split};
use crate::dataset::{Dataset, Sample, file_bytes, item};
use crate::decode::{dimensions, read_labels, read_rgb};
use crate::error::Error;
use crate::resize::{bilinear, nearest};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf, absolute};
use std::{fs, io};

/// What to do where a part of the data set is missing.
const HINT: &str = "data.root must name the folder that holds images/ and annotations/ of the Oxford-IIIT Pet data set; its \
                    two archives are at https://www.robots.ox.ac.uk/~vgg/data/pets/ and unpack into one folder";

/// The values of a trimap, for messages.
const LABELS: &str = "a trimap has 1 (pet), 2 (background) and 3 (border)";

/// The configuration of the Oxford-IIIT Pet data set. Training uses its list `trainval`, validation its list `test`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OxfordPets {
    /// The folder that holds `images/` and `annotations/`; relative to where the program is started.
    pub root: PathBuf,
    /// What is to be told apart.
    #[serde(default)]
    pub target: Target,
    /// Height and width that images and masks are resized to, in pixels.
    #[serde(default = "default_size")]
    pub size: [u32; 2],
    /// How samples are put together into batches.
    #[serde(default)]
    pub loader: LoaderConfig,
    /// How training samples are varied.
    #[serde(default)]
    pub augment: Augment,
}

fn default_size() -> [u32; 2] {
    [128, 128]
}

/// What is to be told apart in a photograph.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Three classes, the value of the trimap less one: 0 pet, 1 background, 2 border.
    #[default]
    Trimap,
    /// Two classes: 0 background, 1 pet, its border included.
    Foreground,
}

impl Target {
    /// The names of the classes, in the order of their ids.
    pub(crate) fn classes(self) -> &'static [&'static str] {
        match self {
            Self::Trimap => &["pet", "background", "border"],
            Self::Foreground => &["background", "pet"],
        }
    }

    /// The class id of a label of a trimap.
    fn class(self, label: u8) -> u8 {
        match self {
            Self::Trimap => label.saturating_sub(1),
            Self::Foreground => u8::from(label != 2),
        }
    }
}

/// Whether a trimap may hold this value.
fn is_label(value: u8) -> bool {
    (1..=3).contains(&value)
}

impl OxfordPets {
    /// Finds the folders and reads the list of a split.
    pub(crate) fn open(&self, split: Split) -> Result<Pets, Error> {
        let (what, list) = match split {
            Split::Train => ("training list", "annotations/trainval.txt"),
            Split::Validation => ("validation list", "annotations/test.txt"),
        };
        let folders = [
            ("root folder of the data set", self.root.clone()),
            ("folder of images", self.root.join("images")),
            ("folder of trimaps", self.root.join("annotations/trimaps")),
        ];
        for (what, path) in folders {
            if !path.is_dir() {
                return Err(missing(what, &path));
            }
        }
        let names = read_list(what, &self.root.join(list))?;
        Ok(Pets { root: self.root.clone(), target: self.target, size: self.size, names })
    }
}

fn missing(what: &'static str, path: &Path) -> Error {
    Error::Missing { what, path: absolute(path).unwrap_or_else(|_| path.into()), hint: HINT }
}

/// The names in a list: the first of four words a line; lines that begin with `#` are comments.
fn read_list(what: &'static str, path: &Path) -> Result<Vec<String>, Error> {
    let text = fs::read_to_string(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => missing(what, path),
        _ => Error::Io { path: path.into(), source },
    })?;
    let mut names = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            // A name is part of a path, and a list must not lead out of its data set.
            [name, _class, _species, _breed] if !name.contains(['/', '\\']) => names.push(name.to_owned()),
            _ => {
                return Err(Error::List {
                    path: path.into(),
                    line: number + 1,
                    found: line.chars().take(80).collect(),
                });
            }
        }
    }
    if names.is_empty() { Err(Error::Empty { path: path.into() }) } else { Ok(names) }
}

/// One split of the data set.
pub(crate) struct Pets {
    root: PathBuf,
    target: Target,
    size: [u32; 2],
    names: Vec<String>,
}

impl Pets {
    fn image_path(&self, name: &str) -> PathBuf {
        self.root.join("images").join(format!("{name}.jpg"))
    }

    fn mask_path(&self, name: &str) -> PathBuf {
        self.root.join("annotations/trimaps").join(format!("{name}.png"))
    }

    /// The mask of `name` at the data set's size, if it fits an image of `image_size`.
    fn read_mask(&self, name: &str, image_size: [u32; 2]) -> Result<Vec<u8>, Error> {
        let path = self.mask_path(name);
        let values = read_labels(&path)?;
        let mask_size = [values.height(), values.width()];
        if mask_size != image_size {
            let image = self.image_path(name);
            return Err(Error::SizeMismatch { image, image_size, mask: path, mask_size });
        }
        let labels = values.into_raw();
        // Every value of the file counts, those too that resizing drops. A loop with no way out can be vectorised.
        if labels.iter().fold(false, |bad, &label| bad | !is_label(label)) {
            let place = labels.iter().position(|&label| !is_label(label)).unwrap_or_default();
            let width = image_size[1] as usize;
            let (row, column) = (place / width, place % width);
            return Err(Error::Label { path, found: labels[place], row, column, expected: LABELS });
        }
        let mut mask = nearest(labels, mask_size, self.size);
        mask.iter_mut().for_each(|value| *value = self.target.class(*value));
        Ok(mask)
    }
}

impl Dataset for Pets {
    fn len(&self) -> u64 {
        self.names.len() as u64
    }

    fn size(&self) -> [u32; 2] {
        self.size
    }

    fn name(&self, index: u64) -> String {
        item(&self.names, index).cloned().unwrap_or_default()
    }

    fn load(&self, index: u64) -> Result<Sample, Error> {
        let name = item(&self.names, index)?;
        let rgb = read_rgb(&self.image_path(name))?;
        let from = [rgb.height(), rgb.width()];
        let mask = self.read_mask(name, from)?;
        Ok(Sample { image: bilinear(rgb.into_raw(), from, self.size)?, mask })
    }

    fn mask(&self, index: u64) -> Result<Vec<u8>, Error> {
        let name = item(&self.names, index)?;
        self.read_mask(name, dimensions(&self.image_path(name))?)
    }

    fn source_bytes(&self, index: u64) -> Result<u64, Error> {
        let name = item(&self.names, index)?;
        Ok(file_bytes(&self.image_path(name))?.saturating_add(file_bytes(&self.mask_path(name))?))
    }
}

#[cfg(test)]
mod tests;
