//! A data set of images and annotations: the files of COCO, LabelMe, YOLO, Label Studio or CVAT.
//!
//! A sample's name is the path of its image below `images`, without the extension. Samples are in the order of their
//! names, byte by byte. COCO's, Label Studio's and CVAT's files say which images belong to the data set; LabelMe has a
//! file for each image; of YOLO all images belong to it, and one without a file shows the background alone.

mod found;
mod images;
mod names;
mod read;
mod severity;

pub(crate) use severity::is_wrong;

use crate::error::{Error, within};
use crate::label::Labels;
use crate::label::classes::{Class, check_classes};
use crate::label::table::LabelTable;
use crate::list::paths::Paths;
use crate::list::split::{Split, SplitConfig, Splitting};
use crate::load::drawn::{Drawing, Drawn};
use crate::load::files::Preparation;
use annotation::{Category, Classes, Problem};
use contract::{Invalid, listed};
use found::Part;
use read::{Read, Sample};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::PathBuf;

/// Maximum number of names in a message.
const NAMED: usize = 20;

/// Tool whose annotation files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// COCO's instances, as JSON.
    Coco,
    /// LabelMe's JSON, one for each image.
    LabelMe,
    /// Ultralytics' text of segments, one for each image.
    Yolo,
    /// Label Studio's export as JSON.
    LabelStudio,
    /// CVAT for images 1.1, XML.
    Cvat,
}

/// Configuration of a data set of images and annotations. Masks are painted when samples are read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Annotations {
    /// Folder that holds images and annotations; relative to the working directory.
    #[schemars(extend("x-resume" = "safe"))]
    pub root: PathBuf,
    /// Folder of the images, below `root`; images may lie in subfolders.
    #[schemars(extend("x-resume" = "ask"))]
    #[serde(default = "images")]
    pub images: String,
    /// File or folder of the annotations, below `root`. Needed unless `split.train` and `split.validation` name the
    /// files; with both, these lie in this folder.
    #[schemars(extend("x-resume" = "ask"))]
    #[serde(default)]
    pub annotations: Option<String>,
    /// Folder of COCO's panoptic PNGs, below `root`; they may lie in a folder of the annotation file's name. With it,
    /// annotation files are panoptic ones.
    #[schemars(extend("x-resume" = "ask"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub panoptic: Option<String>,
    /// File of the categories' names, below `root`, in the order of their ids: a text with a name a line, or a
    /// `data.yaml` with the key `names`. YOLO needs one; without this key it is `data.yaml`. COCO's files have their
    /// own names.
    #[schemars(extend("x-resume" = "ask"))]
    #[serde(default)]
    pub names: Option<String>,
    /// The classes, in the order of their ids. Without them, `background` and the categories of the files.
    #[schemars(extend("x-resume" = "refuse"))]
    #[serde(default)]
    pub classes: Vec<Class>,
    /// Meaning of the values of painted masks: 0 is the background, 1, 2, … are the categories in the order of their
    /// ids, and 255 are the pixels of crowds.
    #[schemars(extend("x-resume" = "ask"))]
    #[serde(default)]
    pub labels: Labels,
    /// Split into training and validation samples. `train` and `validation` name annotation files, or folders of them.
    #[schemars(extend("x-resume" = "ask"))]
    #[serde(default)]
    pub split: SplitConfig,
    /// Conversion of the images to the network's input.
    #[serde(flatten)]
    pub preparation: Preparation,
}

fn images() -> String {
    "images".into()
}

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
    /// Creates the configuration of a data set that is not split, with the usual preparation.
    pub fn new(root: PathBuf, images: String, annotations: String, names: Option<String>) -> Self {
        let (panoptic, classes, labels, split, preparation) = Default::default();
        Self { root, images, annotations: Some(annotations), panoptic, names, classes, labels, split, preparation }
    }

    /// Refuses invalid values; keys are relative to this struct.
    pub(crate) fn check(&self, tool: Tool) -> Result<(), Invalid> {
        let refused = |unless: bool, key: &str, problem: &str| Invalid::unless(unless, key, || problem.into());
        refused(self.preparation.more_images.is_empty(), "more_images", "is for folders and lists")?;
        refused(self.preparation.slices.is_none(), "slices", "is for masks in files: annotations are drawn on images")?;
        refused(
            tool != Tool::Coco || self.names.is_none(),
            "names",
            "has no effect: COCO's files name their categories",
        )?;
        refused(tool == Tool::Coco || self.panoptic.is_none(), "panoptic", "has no effect: it is for COCO's files")?;
        refused(
            self.labels.colors.is_empty(),
            "labels.colors",
            "is for masks in files: painted masks hold numbers, so use labels.map",
        )?;
        let splitting = self.split.check()?;
        refused(
            self.annotations.is_some() || matches!(splitting, Splitting::Named { .. }),
            "annotations",
            "must name the file or folder of annotations below data.root; or give split.train and split.validation",
        )?;
        refused(
            tool != Tool::Yolo || self.annotations.is_some(),
            "annotations",
            "must name the folder of YOLO's texts below data.root, such as \"labels\", also where split.train and \
             split.validation name folders below it and below data.images",
        )?;
        if self.classes.is_empty() {
            return Ok(());
        }
        check_classes(&self.classes)?;
        within("labels", self.labels.check(&self.classes))
    }

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
            Splitting::Hashed(rule) => rule.splits(samples.iter().map(|sample| &*sample.name)),
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
    listed(&values.collect::<Vec<String>>(), NAMED)
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
