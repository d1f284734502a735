//! Data sets of annotations: their kinds, and the classes that their files name.

use super::Config;
use crate::error::Error;
use crate::list::annotated::config::Annotations;
use crate::list::annotated::tool::Tool;
use crate::list::split::Split;
use crate::load::dataset::Dataset;
use crate::load::files::Files;
use contract::Invalid;

impl Config {
    /// Returns tool and configuration of a data set of annotations.
    pub(super) fn annotated(&self) -> Option<(Tool, &Annotations)> {
        Some(match self {
            Self::Coco(all) => (Tool::Coco, all),
            Self::Labelme(all) => (Tool::LabelMe, all),
            Self::Yolo(all) => (Tool::Yolo, all),
            Self::LabelStudio(all) => (Tool::LabelStudio, all),
            Self::Cvat(all) => (Tool::Cvat, all),
            Self::Shapes(_) | Self::OxfordPets(_) | Self::Folders(_) | Self::List(_) => return None,
        })
    }

    /// Returns this configuration with the names of its classes. Where annotation files name them and the configuration
    /// does not, they are read from these files; a complete configuration is returned as it is.
    ///
    /// # Errors
    ///
    /// Fails if the configuration is invalid, or the annotation files cannot be read; keys are relative to the data
    /// section.
    pub fn completed(mut self) -> Result<Self, Invalid> {
        let Some((tool, all)) = self.annotated().filter(|(_, all)| all.classes.is_empty()) else { return Ok(self) };
        all.check(tool)?;
        let classes = all.classes_of_files(tool).map_err(|error| match error {
            Error::Config(Invalid { key, problem }) => {
                Invalid { key: key.strip_prefix("data.").unwrap_or(&key).into(), problem }
            }
            error => Invalid { key: "annotations".into(), problem: error.to_string() },
        })?;
        if let Self::Coco(all) | Self::Labelme(all) | Self::Yolo(all) | Self::LabelStudio(all) | Self::Cvat(all) =
            &mut self
        {
            all.classes = classes;
        }
        Ok(self)
    }

    /// Opens a split of annotations: leaves out images that are missing or do not fit, and returns an error for each
    /// kind of them.
    pub(super) fn open_annotated(&self, split: Split) -> Result<(Box<dyn Dataset>, Vec<Error>), Error> {
        let config = self.clone().completed()?;
        let Some((tool, all)) = config.annotated() else { return Ok((config.open(split)?, Vec::new())) };
        let ((paths, drawn, table), errors) = all.sound_samples(tool, split)?;
        Ok((Box::new(Files::drawn(paths, drawn, table, &all.preparation)?), errors))
    }

    /// Returns the annotations that were left out, of all splits.
    pub(super) fn annotation_problems(&self) -> Result<Vec<annotation::Problem>, Error> {
        self.annotated().map_or_else(|| Ok(Vec::new()), |(tool, all)| all.problems(tool))
    }
}
