//! A data set whose images and masks stand in a list: CamVid's and SegNet's, Pascal VOC's, Cityscapes', or anyone's.
//!
//! Opening it reads the list and touches no other file, but for the first one where the list begins with an absolute
//! path that may not be meant so. The list is taken at its word: a sample that it names twice is trained on twice.

mod parse;

use crate::classes::{Class, check_classes};
use crate::config::{Split, within};
use crate::error::Error;
use crate::files::Preparation;
use crate::labels::Labels;
use crate::lines::{read, utf8};
use crate::paths::{Paths, Pattern};
use crate::split::{SplitConfig, Splitting};
use contract::Invalid;
use parse::Format;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What to do where a list is missing.
const HINT: &str = "data.list, or data.split.train and data.split.validation, must name text files or .csv files below \
                    data.root";

/// The configuration of a data set whose files stand in a list.
///
/// A line has two columns, the paths of an image and of its mask, or one, which `image` and `mask` make paths of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// What lists and paths are relative to; itself relative to where the program is started.
    pub root: PathBuf,
    /// The list of all samples, where `split` is by `validation_fraction` or `fold`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// What is taken away from the beginning of the paths in the list, such as `/SegNet/CamVid/`.
    #[serde(default)]
    pub strip_prefix: String,
    /// The path of an image, with `{}` for what stands in the first column.
    #[serde(default = "whole")]
    pub image: String,
    /// The path of a mask, with `{}` for what stands in the second column; in the first where there is only one.
    #[serde(default = "whole")]
    pub mask: String,
    /// The classes, in the order of their ids.
    pub classes: Vec<Class>,
    /// What the values or colours of the masks mean.
    #[serde(default)]
    pub labels: Labels,
    /// Which samples are for training and which for validation.
    #[serde(default)]
    pub split: SplitConfig,
    /// How the files become what the network is fed with.
    #[serde(flatten)]
    pub preparation: Preparation,
}

/// The pattern that is nothing but the part that differs.
pub(crate) fn whole() -> String {
    "{}".into()
}

impl List {
    /// Complains about values that cannot work; keys are relative to this struct.
    pub(crate) fn check(&self) -> Result<(), Invalid> {
        Pattern::parse("image", &self.image)?;
        Pattern::parse("mask", &self.mask)?;
        let hashed = matches!(self.split.check()?, Splitting::Hashed(_));
        Invalid::unless(hashed || self.list.is_none(), "list", || {
            "stands beside split.train and split.validation, which name the lists: remove it or them".into()
        })?;
        Invalid::unless(!hashed || self.list.is_some(), "list", || {
            "must name the list of all samples; or give split.train and split.validation".into()
        })?;
        check_classes(&self.classes)?;
        within("labels", self.labels.check(&self.classes))
    }

    /// Reads the list of a split.
    pub(crate) fn paths(&self, split: Split) -> Result<Paths, Error> {
        let splitting = self.split.check()?;
        let (what, list) = match (splitting, split) {
            (Splitting::Named { train, .. }, Split::Train) => ("training list", train),
            (Splitting::Named { validation, .. }, Split::Validation) => ("validation list", validation),
            (Splitting::Hashed(_), _) => ("list of samples", self.list.as_deref().unwrap_or_default()),
        };
        let path = self.root.join(list);
        let mut paths = self.format(&path)?.parse(&self.root, read(what, &path, HINT)?)?;
        self.check_root(&paths, &path)?;
        if let Splitting::Hashed(rule) = splitting {
            paths.keep(rule, split)?;
        }
        Ok(paths)
    }

    /// Complains where the first path of the list is absolute and leads nowhere, but would below `root`.
    fn check_root(&self, paths: &Paths, list: &Path) -> Result<(), Error> {
        let image = paths.image(0)?;
        let Ok(below) = image.strip_prefix("/") else { return Ok(()) };
        let meant = !self.root.join(&image).exists() && self.root.join(below).exists();
        Ok(Invalid::unless(!meant, "data.strip_prefix", || {
            let (list, image) = (list.display(), image.display());
            format!("must be \"/\" for {list}: there is no {image}, but below data.root there is such a file")
        })?)
    }

    fn format<'a>(&'a self, path: &'a Path) -> Result<Format<'a>, Invalid> {
        let (image, mask) = (Pattern::parse("image", &self.image)?, Pattern::parse("mask", &self.mask)?);
        Ok(Format { path, strip_prefix: &self.strip_prefix, image, mask })
    }
}

/// What the list `path` of these bytes says: name, image and mask of each sample, or the first thing that is wrong. For
/// the fuzzer.
#[doc(hidden)]
pub fn parse_list(path: &Path, bytes: Vec<u8>, [strip_prefix, image, mask]: [&str; 3]) -> Result<Vec<String>, Error> {
    let (image, mask) = (Pattern::parse("image", image)?, Pattern::parse("mask", mask)?);
    let paths = Format { path, strip_prefix, image, mask }.parse(Path::new(""), utf8(path, bytes)?)?;
    let sample = |index| Ok([paths.name(index).into(), shown(paths.image(index)?), shown(paths.mask(index)?)]);
    let samples: Result<Vec<[String; 3]>, Error> = (0..paths.len()).map(sample).collect();
    Ok(samples?.concat())
}

fn shown(path: PathBuf) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
