//! A data set of images and masks named in a list: CamVid's and SegNet's, Pascal VOC's, Cityscapes', or anyone's.
//!
//! Opening it reads the list and touches no other file, except the first one if the list begins with an absolute path
//! that may be meant as a relative one. The list is not questioned: a sample that it names twice is trained on twice.

use crate::decode::part::joined;
use crate::error::{Error, within};
use crate::label::Labels;
use crate::label::classes::{Class, check_classes};
use crate::list::lines::{read, utf8};
use crate::list::parse::Format;
use crate::list::paths::{Further, Paths, Pattern, whole};
use crate::list::split::{Split, SplitConfig, Splitting};
use crate::load::files::Preparation;
use contract::Invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Advice where a list is missing.
const HINT: &str = "data.list, or data.split.train and data.split.validation, must name text files or .csv files below \
                    data.root";

/// Configuration of a data set whose files are named in a list.
///
/// A line has two columns, the paths of an image and of its mask, or one column, from which `image` and `mask` make
/// both paths.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// Folder that lists and paths are relative to; itself relative to the working directory.
    #[schemars(extend("x-resume" = "safe"))]
    pub root: PathBuf,
    /// List of all samples, if `split` uses `validation_fraction` or `fold`.
    #[schemars(extend("x-resume" = "ask"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// Prefix that is removed from the paths in the list, such as `/SegNet/CamVid/`.
    #[schemars(extend("x-resume" = "ask"))]
    #[serde(default)]
    pub strip_prefix: String,
    /// Path of an image, with `{}` for the content of the first column.
    #[schemars(extend("x-resume" = "ask"))]
    #[serde(default = "whole")]
    pub image: String,
    /// Path of a mask, with `{}` for the content of the second column, or of the only one.
    #[schemars(extend("x-resume" = "ask"))]
    #[serde(default = "whole")]
    pub mask: String,
    /// The classes, in the order of their ids.
    #[schemars(extend("x-resume" = "refuse"))]
    pub classes: Vec<Class>,
    /// Meaning of the masks' values or colours.
    #[schemars(extend("x-resume" = "ask"))]
    #[serde(default)]
    pub labels: Labels,
    /// Split into training and validation samples.
    #[schemars(extend("x-resume" = "ask"))]
    #[serde(default)]
    pub split: SplitConfig,
    /// Conversion of the files to the network's input.
    #[serde(flatten)]
    pub preparation: Preparation,
}

impl List {
    /// Refuses invalid values; keys are relative to this struct.
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
        let listed = |text: &String| Ok(Further::Listed(Pattern::parse("more_images", text)?));
        paths.more = self.preparation.more_images.iter().map(listed).collect::<Result<_, Invalid>>()?;
        self.check_root(&paths, &path)?;
        if let Splitting::Hashed(rule) = splitting {
            paths.keep(rule, split)?;
        }
        Ok(paths)
    }

    /// Returns the path of the image that the file at `path` belongs to, and that of its first file; `None` for one of
    /// its further files. A file of no such name is an image by itself.
    pub(crate) fn together(&self, path: &Path) -> Option<(PathBuf, PathBuf)> {
        let alone = || Some((path.to_path_buf(), path.to_path_buf()));
        let more = &self.preparation.more_images;
        let Some(text) = path.to_str() else { return alone() };
        let patterns: Vec<Pattern> =
            std::iter::once(&self.image).chain(more).filter_map(|text| Pattern::parse("", text).ok()).collect();
        let found = patterns.iter().map(|pattern| pattern.found(text));
        let Some((number, [before, name])) = found.enumerate().find_map(|(number, found)| Some((number, found?)))
        else {
            return alone();
        };
        if number > 0 {
            return None;
        }
        let file = |Pattern { prefix, suffix }: &Pattern| PathBuf::from([before, prefix, name, suffix].concat());
        Some((joined(&patterns.iter().map(file).collect::<Vec<_>>()), path.to_path_buf()))
    }

    /// Refuses a list whose first path is absolute and missing, but exists below `root`.
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

/// Parses the `bytes` of the list `path`: returns name, image and mask of each sample, or the first error. For the
/// fuzzer.
#[doc(hidden)]
pub fn parse_list(path: &Path, bytes: Vec<u8>, [strip_prefix, image, mask]: [&str; 3]) -> Result<Vec<String>, Error> {
    let (image, mask) = (Pattern::parse("image", image)?, Pattern::parse("mask", mask)?);
    let paths = Format { path, strip_prefix, image, mask }.parse(Path::new(""), utf8(path, bytes)?)?;
    let sample = |index| Ok([paths.name(index), shown(paths.image(index)?), shown(paths.mask(index)?)]);
    let samples: Result<Vec<[String; 3]>, Error> = (0..paths.len()).map(sample).collect();
    Ok(samples?.concat())
}

fn shown(path: PathBuf) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
