//! Masks of a split: files of their own, or annotations that are painted when a sample is read.

mod digest;
pub(crate) mod drawing;

use crate::decode::Decoder;
use crate::decode::turn::Orientation;
use crate::error::Error;
use crate::label::pixel::Label;
use crate::label::table::{LabelTable, Place};
use crate::load::dataset::item;
use crate::transform::resize::Rectangle;
use annotation::Classes;
use drawing::Drawing;
use std::path::{Path, PathBuf};

/// Annotations of the samples of a split, in the order of their indices.
pub(crate) struct Drawn {
    /// Annotations of each image, and the file that holds them.
    pub(crate) samples: Vec<(Drawing, PathBuf)>,
    /// Class ids of the categories in a painted mask.
    pub(crate) classes: Classes,
    /// Sentences about annotations that were left out.
    pub(crate) left_out: Vec<String>,
}

/// Source of a sample's mask.
pub(crate) enum Mask<'a> {
    /// A file of labels.
    File(PathBuf),
    /// Annotations of a file, painted by the rules of its tool.
    Drawn(&'a Drawing, &'a Classes, &'a Path),
}

impl Drawn {
    /// Returns the annotations of a sample.
    pub(crate) fn mask(&self, index: u64) -> Result<Mask<'_>, Error> {
        let (drawing, file) = item(&self.samples, index)?;
        Ok(Mask::Drawn(drawing, &self.classes, file))
    }

    /// Returns a number that changes with what is painted in a sample's mask.
    pub(crate) fn digest(&self, index: u64) -> Result<u64, Error> {
        Ok(digest::of(&item(&self.samples, index)?.0, &self.classes))
    }
}

impl Mask<'_> {
    /// Returns the file that the mask comes from.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Drawn(_, _, path) => path,
        }
    }

    /// Puts the class ids of the whole mask into `ids`, and returns its height and width. Shapes are drawn upon the
    /// image as it is shown, so only a file is turned by `orientation`.
    pub(crate) fn read(
        &self,
        decoder: &mut Decoder,
        labels: &LabelTable,
        orientation: Orientation,
        ids: &mut Vec<u8>,
    ) -> Result<[u32; 2], Error> {
        match self {
            Self::File(path) => decoder.mask(path, labels, orientation, ids),
            Self::Drawn(drawing, classes, path) => {
                *ids = drawing.class_map(classes, path)?;
                let [height, width] = [drawing.size().height(), drawing.size().width()];
                labels.translate(ids, |value| Label::Value(value.into()), Place { path, width })?;
                Ok([height, width])
            }
        }
    }

    /// Puts the class ids of a part of the mask into `ids`, and returns height and width of the whole. `None` where
    /// only the whole mask can be read.
    pub(crate) fn part(
        &self,
        decoder: &mut Decoder,
        labels: &LabelTable,
        part: Rectangle,
        ids: &mut Vec<u8>,
    ) -> Result<Option<[u32; 2]>, Error> {
        match self {
            Self::File(path) => decoder.part_of_mask(path, labels, part, ids),
            Self::Drawn(..) => Ok(None),
        }
    }
}
