//! A data set of images and annotations: the files of COCO, LabelMe, YOLO, Label Studio or CVAT.
//!
//! A sample's name is the path of its image below `images`, without the extension. Samples are in the order of their
//! names, byte by byte. COCO's, Label Studio's and CVAT's files say which images belong to the data set; LabelMe has a
//! file for each image; of YOLO all images belong to it, and one without a file shows the background alone.

pub(crate) mod config;
mod found;
mod images;
mod names;
mod read;
pub(crate) mod severity;
pub(crate) mod tool;

use crate::error::Error;
use crate::label::classes::{Class, check_classes};
use crate::label::table::LabelTable;
use crate::list::paths::Paths;
use crate::list::split::{Split, Splitting};
use crate::load::drawn::Drawn;
use crate::load::drawn::drawing::Drawing;
use annotation::{Category, Classes, Problem};
use config::Annotations;
use contract::{Invalid, listed};
use found::Part;
use read::{Read, Sample};
use severity::is_wrong;
use std::collections::HashMap;
use std::path::PathBuf;
use tool::Tool;

/// Maximum number of names in a message.
const NAMED: usize = 20;

/// Contents of annotation files, with the images that they belong to.
#[derive(Debug)]
pub struct Contents {
    /// Categories, in the order of their ids.
    pub categories: Vec<Category>,
    /// Images in the order of their names, with their shapes.
    pub images: Vec<Pictured>,
    /// Annotations that were left out.
    pub problems: Vec<Problem>,
    /// Number of those without which a mask is wrong.
    pub wrong: usize,
}

/// An image with its annotations.
#[derive(Debug)]
pub struct Pictured {
    /// Path of the image.
    pub path: PathBuf,
    /// Path below the folder of images, without the extension.
    pub name: String,
    /// Shapes or segments.
    pub drawing: Drawing,
    /// File that they are painted from: the annotation file, or the PNG of segments.
    pub file: PathBuf,
}

/// Paths of a split's images, the annotations of each, and the meaning of painted values.
type Samples = (Paths, Drawn, LabelTable);

impl Annotations {
    /// Returns the names of the classes that the annotation files have: `background`, and the categories.
    pub(crate) fn classes_of_files(&self, tool: Tool) -> Result<Vec<Class>, Error> {
        let categories = self.categories(tool)?;
        let names = std::iter::once("background").chain(categories.iter().map(|category| &*category.name));
        let classes: Vec<Class> = names.map(Class::from).collect();
        check_classes(&classes).map_err(|Invalid { problem, .. }| Invalid {
            key: "classes".into(),
            problem: format!(
                "of the annotation files {problem}; name the classes here, first that of the background, then one for \
                 each of {}",
                shown(&categories)
            ),
        })?;
        Ok(classes)
    }

    /// Reads the annotations of all splits, and finds their images.
    ///
    /// # Errors
    ///
    /// Fails if a file cannot be read, or an image is missing, ambiguous, or of another size than its annotations.
    pub fn contents(&self, tool: Tool) -> Result<Contents, Error> {
        self.check(tool)?;
        let Read { categories, samples, errors, problems } = self.read(tool)?;
        let wrong = problems.iter().filter(|problem| is_wrong(&problem.trouble)).count();
        if let Some(error) = errors.into_iter().next() {
            return Err(error);
        }
        let folder = self.root.join(&self.images);
        let picture =
            |Sample { name, image, drawing, file, .. }| Pictured { path: folder.join(image), name, drawing, file };
        Ok(Contents { categories, images: samples.into_iter().map(picture).collect(), problems, wrong })
    }

    /// Finds the samples of a split. Leaves out images that are missing or do not fit, and returns an error for each
    /// kind of them.
    pub(crate) fn sound_samples(&self, tool: Tool, split: Split) -> Result<(Samples, Vec<Error>), Error> {
        let Read { categories, samples, errors, problems } = self.read(tool)?;
        let table = self.table(&categories)?;
        let splits: Vec<Split> = match self.split.check()? {
            Splitting::Hashed(by) => by.splits(samples.iter().map(|sample| &*sample.name))?,
            Splitting::Named { .. } => samples.iter().map(|sample| sample.part.split()).collect(),
        };
        // What cannot be told to belong to a split is named once, with the training data.
        let names = samples.iter().map(|sample| sample.drawing.file_name());
        let of_image: HashMap<&str, Split> = names.zip(splits.iter().copied()).collect();
        let own = |problem: &&Problem| {
            let known = problem.image.as_ref().and_then(|image| of_image.get(&**image));
            known.copied().unwrap_or(Split::Train) == split
        };
        let left_out = problems.iter().filter(own).map(ToString::to_string).collect();
        let (all, mut paths) = (samples.len() as u64, Paths::new(&self.root));
        if !self.images.is_empty() {
            paths.image.prefix = format!("{}/", self.images);
        }
        let mut drawn = Drawn { samples: Vec::new(), classes: Classes::new(&categories)?, left_out };
        for (sample, _) in samples.into_iter().zip(&splits).filter(|(_, of)| **of == split) {
            paths.push([&sample.name, &sample.image, ""], &self.root)?;
            drawn.samples.push((sample.drawing, sample.file));
        }
        if drawn.samples.is_empty() && errors.is_empty() {
            return Err(Error::EmptySplit { split, samples: all });
        }
        Ok(((paths, drawn, table), errors))
    }

    /// Returns the annotations that were left out, of all splits.
    pub(crate) fn problems(&self, tool: Tool) -> Result<Vec<Problem>, Error> {
        Ok(self.read(tool)?.problems)
    }

    /// Returns the class id of every value of a painted mask.
    fn table(&self, categories: &[Category]) -> Result<LabelTable, Invalid> {
        let values = categories.len() + 1;
        if self.labels.map.is_empty() {
            Invalid::unless(self.classes.len() == values, "data.classes", || {
                format!(
                    "names {} classes, and the annotation files have {values} with the background: {}; name one for \
                     each, or say in labels.map what each of 0 to {} means",
                    self.classes.len(),
                    shown(categories),
                    values - 1
                )
            })?;
        }
        // Values are positions, so a category's name at another place would mean another category.
        for (id, category) in (1..).zip(categories) {
            let named = self.classes.iter().position(|class| class.name == category.name);
            if let Some(at) = named.filter(|at| *at != id && self.labels.map.is_empty()) {
                return Err(Invalid {
                    key: format!("data.classes[{at}]"),
                    problem: format!(
                        "is '{}', which is the category {id} of the annotation files ({}): keep their order, or say in \
                         labels.map what each value means",
                        category.name,
                        shown(categories)
                    ),
                });
            }
        }
        self.labels.table(&self.classes)
    }
}

/// Lists categories with their values in a painted mask.
fn shown(categories: &[Category]) -> String {
    let values = (1..).zip(categories).map(|(value, category)| format!("{value} ({})", category.name));
    listed(values.collect::<Vec<String>>(), NAMED)
}

impl Part {
    /// Returns the split that a part of the files is for.
    fn split(self) -> Split {
        match self {
            Self::All | Self::Train => Split::Train,
            Self::Validation => Split::Validation,
        }
    }
}

#[cfg(test)]
mod tests;
