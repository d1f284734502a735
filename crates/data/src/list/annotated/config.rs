//! Configuration of a data set of images and annotations.

use super::tool::Tool;
use crate::error::within;
use crate::label::Labels;
use crate::label::classes::{Class, check_classes};
use crate::list::split::{SplitConfig, Splitting};
use crate::load::files::Preparation;
use contract::Invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

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
}
