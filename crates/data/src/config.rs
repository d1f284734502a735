//! The configuration of the data: the data set, the size of its samples, and their loading.

mod annotated;
mod cached;
pub(crate) mod checked;
mod left;
mod scaled;
#[cfg(test)]
mod tests;

use crate::decode::part::Axis;
use crate::decode::turn::Orientation;
use crate::error::{Error, within};
use crate::label::Labels;
use crate::label::classes::{Class, Color};
use crate::list::annotated::config::Annotations;
use crate::list::folders::Folders;
use crate::list::listed::List;
use crate::list::pets::OxfordPets;
use crate::list::split::Split;
use crate::load::config::LoaderConfig;
use crate::load::dataset::Dataset;
use crate::load::files::{Files, Preparation};
use crate::load::layout::Layout;
use crate::load::pipeline::Pipeline;
use crate::load::shapes::Shapes;
use crate::transform::resize::{LARGEST, Resize};
use contract::Invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The data set, named by the key `kind`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[schemars(rename = "Data", extend("x-resume" = "refuse"))]
pub enum Config {
    /// Circles, squares and triangles, drawn on demand; needs no files.
    Shapes(Shapes),
    /// The Oxford-IIIT Pet data set.
    OxfordPets(OxfordPets),
    /// A folder of images and one of masks, matched by name.
    Folders(Folders),
    /// Images and masks named in a list.
    List(List),
    /// Images and COCO's file of instances.
    Coco(Annotations),
    /// Images and LabelMe's files.
    Labelme(Annotations),
    /// Images and YOLO's texts of segments.
    Yolo(Annotations),
    /// Images and Label Studio's export.
    LabelStudio(Annotations),
    /// Images and CVAT's export.
    Cvat(Annotations),
}

impl Default for Config {
    fn default() -> Self {
        Self::Shapes(Shapes::default())
    }
}

impl Config {
    /// Refuses invalid values, without touching the disk; keys are relative to the data section.
    pub fn check(&self) -> Result<(), Invalid> {
        for (side, length) in ["height", "width"].into_iter().zip(self.size()) {
            Invalid::unless((1..=LARGEST).contains(&length), "size", || {
                format!("the {side} must be 1 to {LARGEST} pixels, is {length}")
            })?;
        }
        match self {
            Self::Shapes(shapes) => shapes.check()?,
            Self::OxfordPets(pets) => Invalid::unless(pets.preparation.more_images.is_empty(), "more_images", || {
                "is for folders and lists: an image of this data set is one file".into()
            })?,
            Self::Folders(folders) => folders.check()?,
            Self::List(list) => list.check()?,
            annotated => annotated.annotated().map_or(Ok(()), |(tool, annotations)| annotations.check(tool))?,
        }
        if let Ok(preparation) = self.preparation() {
            preparation.check()?;
        }
        let (pipeline, layout) = (self.pipeline(Split::Train), self.layout());
        for (position, transform) in pipeline.transforms.iter().enumerate() {
            let checked = transform.check(&self.classes(), layout.channels());
            let checked = checked.and_then(|()| transform.suits(layout.channels(), layout.depth));
            within(&format!("transforms[{position}]"), checked)?;
        }
        if let Some(normalize) = &pipeline.normalize {
            within("normalize", normalize.check(self.channels()))?;
        }
        within("loader", self.loader().check_with(pipeline.draws_by_index()))
    }

    /// Returns the keys that all data sets of files share, or `Shapes`, the only data set without files.
    fn preparation(&self) -> Result<&Preparation, &Shapes> {
        match self {
            Self::Shapes(shapes) => Err(shapes),
            Self::OxfordPets(pets) => Ok(&pets.preparation),
            Self::Folders(folders) => Ok(&folders.preparation),
            Self::List(list) => Ok(&list.preparation),
            Self::Coco(all) | Self::Labelme(all) | Self::Yolo(all) | Self::LabelStudio(all) | Self::Cvat(all) => {
                Ok(&all.preparation)
            }
        }
    }

    /// Returns the classes and the labels of the masks; of data sets that define their own classes, default labels.
    fn labelled(&self) -> (Vec<Class>, Labels) {
        match self {
            Self::Shapes(_) => (Shapes::CLASSES.map(Class::from).to_vec(), Labels::default()),
            Self::OxfordPets(pets) => {
                (pets.target.classes().iter().copied().map(Class::from).collect(), Labels::default())
            }
            Self::Folders(folders) => (folders.classes.clone(), folders.labels.clone()),
            Self::List(list) => (list.classes.clone(), list.labels.clone()),
            Self::Coco(all) | Self::Labelme(all) | Self::Yolo(all) | Self::LabelStudio(all) | Self::Cvat(all) => {
                (all.classes.clone(), all.labels.clone())
            }
        }
    }

    /// Returns the names of the classes, in the order of their ids.
    pub fn classes(&self) -> Vec<String> {
        self.labelled().0.into_iter().map(|class| class.name).collect()
    }

    /// Returns the colours of the classes, in the order of their ids.
    pub fn colors(&self) -> Vec<Color> {
        let (classes, labels) = self.labelled();
        labels.colors_of(&classes)
    }

    /// Returns height and width of the network's input, in pixels.
    pub fn size(&self) -> [u32; 2] {
        self.preparation().map_or_else(|shapes| shapes.size, |preparation| preparation.size)
    }

    /// Returns the number of channels of the network's input.
    pub fn channels(&self) -> u32 {
        self.layout().channels()
    }

    /// Returns the numbers of a pixel as the network sees them.
    pub fn layout(&self) -> Layout {
        self.preparation().map_or_else(|_| Layout::from(3), Preparation::layout)
    }

    /// Returns the path of the image that the file at `path` belongs to, and its name, by `more_images`; `None` for a
    /// further file of an image.
    pub fn together(&self, path: &Path) -> Option<(PathBuf, PathBuf)> {
        match self {
            Self::Folders(folders) if !folders.preparation.more_images.is_empty() => {
                folders.together(path).map(|(image, name)| (image, path.with_file_name(name)))
            }
            Self::List(list) if !list.preparation.more_images.is_empty() => list.together(path),
            _ => Some((path.into(), path.into())),
        }
    }

    /// Returns the axis across which volumes are cut, if they are.
    pub fn slices(&self) -> Option<Axis> {
        self.preparation().map_or(None, |preparation| preparation.slices)
    }

    /// Returns whether the orientation noted in images is applied or ignored.
    pub fn orientation(&self) -> Orientation {
        self.preparation().map_or_else(|_| Orientation::default(), |preparation| preparation.orientation)
    }

    /// Returns the resizing of images to the network's input.
    pub fn resize(&self) -> Resize {
        self.preparation().map_or_else(|_| Resize::default(), |preparation| preparation.resize)
    }

    /// Describes the pixels that a validation scores.
    pub fn scored_on(&self) -> String {
        let size = self.size();
        let shown = |[height, width]: [u32; 2]| format!("{height} x {width} pixels");
        let Ok(preparation) = self.preparation() else { return format!("images of {}", shown(size)) };
        let brought = |how: &str, to: Option<[u32; 2]>| {
            let to = to.unwrap_or(size);
            let is_cut = (0..2).any(|axis| to[axis] > size[axis]);
            let part = if is_cut { format!("the middle {} of", shown(size)) } else { "all of".into() };
            format!("{part} images {how} {}", shown(to))
        };
        match preparation.resize {
            Resize::Stretch { to } => brought("stretched to", to),
            Resize::Fit { to } => brought("fitted into", to),
            Resize::None => format!("the middle {} of images of their own size", shown(size)),
            Resize::ShorterSide { to } => {
                let to = to.unwrap_or(size[0].min(size[1]));
                format!("the middle {} of images whose shorter side is {to} pixels", shown(size))
            }
        }
    }

    /// Returns the configuration of batching and loading.
    pub fn loader(&self) -> &LoaderConfig {
        self.preparation().map_or_else(|shapes| &shapes.loader, |preparation| &preparation.loader)
    }

    /// Returns the processing of a split's samples.
    pub fn pipeline(&self, split: Split) -> Pipeline {
        let (transforms, normalize) = match self.preparation() {
            Err(shapes) => (&shapes.transforms, shapes.normalize.clone()),
            Ok(preparation) => (&preparation.transforms, preparation.normalize()),
        };
        let classes = self.classes();
        let transforms = transforms.iter().map(|transform| transform.resolved(&classes)).collect();
        Pipeline { size: self.size(), transforms, normalize }.of(split)
    }

    /// Opens a split of the data set: finds its folders or reads its list, but loads no sample yet.
    pub fn open(&self, split: Split) -> Result<Box<dyn Dataset>, Error> {
        self.check()?;
        Ok(match self {
            Self::Shapes(shapes) => Box::new(shapes.open(split)),
            Self::OxfordPets(pets) => Box::new(Files::new(pets.paths(split)?, pets.labels(), &pets.preparation)?),
            Self::Folders(all) => {
                Box::new(Files::new(all.paths(split)?, all.labels.table(&all.classes)?, &all.preparation)?)
            }
            Self::List(all) => {
                Box::new(Files::new(all.paths(split)?, all.labels.table(&all.classes)?, &all.preparation)?)
            }
            annotated => {
                let (dataset, errors) = annotated.open_annotated(split)?;
                errors.into_iter().next().map_or(Ok(dataset), Err)?
            }
        })
    }

    /// Opens a split for inspection: leaves out images and masks that cannot be matched, and returns an error for each
    /// kind of mismatch.
    fn open_sound(&self, split: Split) -> Result<(Arc<dyn Dataset>, Vec<Error>), Error> {
        self.check()?;
        if self.annotated().is_some() {
            return self.open_annotated(split).map(|(dataset, errors)| (dataset.into(), errors));
        }
        let Self::Folders(all) = self else { return Ok((self.open(split)?.into(), Vec::new())) };
        let (paths, unmatched) = all.sound_paths(split)?;
        Ok((Arc::new(Files::new(paths, all.labels.table(&all.classes)?, &all.preparation)?), unmatched))
    }

    /// Returns the mask files without an image, of a data set that searches its files itself.
    pub fn unused_masks(&self) -> Result<Vec<PathBuf>, Error> {
        match self {
            Self::Folders(folders) => folders.unused_masks(),
            _ => Ok(Vec::new()),
        }
    }
}
