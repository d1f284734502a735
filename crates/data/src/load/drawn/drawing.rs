//! Annotations of one image, in any of their forms.

use crate::error::Error;
use annotation::coco::panoptic::Segmented;
use annotation::{Annotated, Classes, Order, Problem, Size};
use std::fs;
use std::path::Path;

/// Annotations of an image, from which its mask is painted.
#[derive(Debug, Clone, PartialEq)]
pub enum Drawing {
    /// Shapes.
    Shapes(Annotated),
    /// Segments of COCO's panoptic files.
    Segments(Segmented),
}

impl Drawing {
    /// Returns the name that the annotation file has for the image.
    pub fn file_name(&self) -> &str {
        match self {
            Self::Shapes(annotated) => &annotated.file_name,
            Self::Segments(segmented) => &segmented.file_name,
        }
    }

    /// Returns the size that the image was annotated at.
    pub fn size(&self) -> Size {
        match self {
            Self::Shapes(annotated) => annotated.size,
            Self::Segments(segmented) => segmented.size,
        }
    }

    /// Compares that size with the one of the image itself.
    pub fn check_size(&self, file: &Path, width: u32, height: u32) -> Option<Problem> {
        let (file_name, size) = (self.file_name().into(), self.size());
        Annotated { file_name, size, shapes: Vec::new() }.check_size(&file.display().to_string(), width, height)
    }

    /// Paints the mask: `height × width` class ids, background 0, and [`IGNORE`](crate::IGNORE). Small shapes lie on
    /// top of large ones. `file` holds the annotations; of segments it is the PNG.
    ///
    /// # Errors
    ///
    /// Fails if the PNG cannot be read, or has a segment that the annotation file does not list. Shapes cannot fail.
    pub fn class_map(&self, classes: &Classes, file: &Path) -> Result<Vec<u8>, Error> {
        let segmented = match self {
            Self::Shapes(annotated) => return Ok(annotated.class_map(classes, Order::Area)),
            Self::Segments(segmented) => segmented,
        };
        let bytes = fs::read(file).map_err(|source| Error::Io { path: file.into(), source })?;
        let (map, problems) = segmented.class_map(&bytes, classes)?;
        match problems.first() {
            None => Ok(map),
            Some(problem) => {
                let problem = format!("does not fit its annotations: {}", problem.trouble);
                Err(Error::MaskFormat { path: file.into(), problem })
            }
        }
    }
}
