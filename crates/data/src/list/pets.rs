//! The Oxford-IIIT Pet data set: photographs of cats and dogs, with a mask (a "trimap") for each.
//!
//! O. M. Parkhi, A. Vedaldi, A. Zisserman, C. V. Jawahar, "Cats and Dogs", CVPR 2012. Its root holds `images/NAME.jpg`,
//! `annotations/trimaps/NAME.png` and the lists `annotations/trainval.txt` and `annotations/test.txt`. Only files that
//! a list names are touched: archives of the set carry stray ones (`._NAME.png`, `.mat`).

use crate::error::Error;
use crate::label::table::LabelTable;
use crate::list::lines::{lines, missing, read, shown};
use crate::list::paths::{Paths, Pattern};
use crate::list::split::Split;
use crate::load::files::Preparation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Advice where a part of the data set is missing.
const HINT: &str = "data.root must name the folder that holds images/ and annotations/ of the Oxford-IIIT Pet data set; its \
                    two archives are at https://www.robots.ox.ac.uk/~vgg/data/pets/ and unpack into one folder";

/// Values of a trimap, for messages.
const LABELS: &str = "a trimap has 1 (pet), 2 (background) and 3 (border)";

/// Configuration of the Oxford-IIIT Pet data set. Training uses its list `trainval`, validation its list `test`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OxfordPets {
    /// Folder that holds `images/` and `annotations/`, or `oxford-iiit-pet/` with both; relative to the working
    /// directory.
    pub root: PathBuf,
    /// Classes to distinguish.
    #[serde(default)]
    pub target: PetsTarget,
    /// Conversion of the files to the network's input.
    #[serde(flatten)]
    pub preparation: Preparation,
}

/// Classes to distinguish in a photograph.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Target")]
pub enum PetsTarget {
    /// Three classes, the value of the trimap less one: 0 pet, 1 background, 2 border.
    #[default]
    Trimap,
    /// Two classes: 0 background, 1 pet, its border included.
    Foreground,
}

impl PetsTarget {
    /// Returns the names of the classes, in the order of their ids.
    pub(crate) fn classes(self) -> &'static [&'static str] {
        match self {
            Self::Trimap => &["pet", "background", "border"],
            Self::Foreground => &["background", "pet"],
        }
    }

    /// Returns the class id of a trimap value, if it is a label.
    fn class(self, label: u8) -> Option<u8> {
        let class = match self {
            Self::Trimap => label.saturating_sub(1),
            Self::Foreground => u8::from(label != 2),
        };
        (1..=3).contains(&label).then_some(class)
    }
}

impl OxfordPets {
    /// Checks that the folders exist and reads the list of a split.
    pub(crate) fn paths(&self, split: Split) -> Result<Paths, Error> {
        let (what, list) = match split {
            Split::Train => ("training list", "annotations/trainval.txt"),
            Split::Validation => ("validation list", "annotations/test.txt"),
        };
        // Some download tools make a folder of this name.
        let nested = self.root.join("oxford-iiit-pet");
        let root = if nested.is_dir() && !self.root.join("images").is_dir() { nested } else { self.root.clone() };
        let folders = [
            ("root folder of the data set", root.clone()),
            ("folder of images", root.join("images")),
            ("folder of trimaps", root.join("annotations/trimaps")),
        ];
        for (what, path) in folders {
            if !path.is_dir() {
                return Err(missing(what, &path, HINT));
            }
        }
        let names = read_list(what, &root.join(list))?;
        let mut paths = Paths::new(&root);
        let pattern = |prefix: &str, suffix: &str| Pattern { prefix: prefix.into(), suffix: suffix.into() };
        (paths.image, paths.mask) = (pattern("images/", ".jpg"), pattern("annotations/trimaps/", ".png"));
        for name in names {
            paths.push([&name; 3], &root)?;
        }
        Ok(paths)
    }

    /// Returns the class id of every value of a trimap.
    pub(crate) fn labels(&self) -> LabelTable {
        LabelTable::new(LABELS, |value| self.target.class(value))
    }
}

/// Reads the names in a list: the first of four words a line; lines that begin with `#` are comments.
fn read_list(what: &'static str, path: &Path) -> Result<Vec<String>, Error> {
    let text = read(what, path, HINT)?;
    let mut names = Vec::new();
    for (number, line) in lines(&text) {
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            // A name is part of a path, and a list must not lead out of its data set.
            [name, _class, _species, _breed] if !name.contains(['/', '\\']) => names.push(name.to_owned()),
            _ => {
                let problem = format!("expected 'NAME CLASS SPECIES BREED', found '{}'", shown(line));
                return Err(Error::List { path: path.into(), line: number, problem });
            }
        }
    }
    if names.is_empty() { Err(Error::Empty { path: path.into() }) } else { Ok(names) }
}

#[cfg(test)]
pub(crate) mod tests;
