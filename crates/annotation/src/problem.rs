//! Errors that end the reading of a file, and problems of single annotations, which do not.

use crate::patch::{MAX_PIXELS, SizeError};
use crate::rle::RleError;
use std::fmt;

/// Reason why a whole file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is no JSON, or JSON of another shape.
    #[error("{file} cannot be read as {format}: {reason}")]
    Json {
        /// File that was read.
        file: String,
        /// Format as which it was read.
        format: &'static str,
        /// The parser's reason, with line and column.
        reason: String,
    },
    /// The file is not well-formed XML.
    #[error("{file} cannot be read as CVAT for images 1.1: {reason} at byte {at}")]
    Xml {
        /// File that was read.
        file: String,
        /// The parser's reason.
        reason: String,
        /// Offset of the error in bytes.
        at: u64,
    },
    /// The file is readable, but of a format that is not supported.
    #[error("{file} is {found}: {advice}")]
    OtherFormat {
        /// File that was read.
        file: String,
        /// Format that was found.
        found: &'static str,
        /// Way to a file that can be read.
        advice: &'static str,
    },
    /// A list of class names cannot be read.
    #[error("{file}, line {line}: {reason}")]
    Names {
        /// File that was read.
        file: String,
        /// Line, counted from 1.
        line: usize,
        /// Problem, and its correction.
        reason: String,
    },
    /// A PNG cannot be read, or holds no mask.
    #[error("{file} holds no mask: {reason}")]
    Png {
        /// File that was read.
        file: String,
        /// Problem of the file.
        reason: String,
    },
    /// Two categories have one id.
    #[error("{file}: two categories have the id {id}: give each category an id of its own")]
    DuplicateCategory {
        /// File that was read.
        file: String,
        /// Id that stands twice.
        id: u64,
    },
    /// The categories do not fit into class ids of 8 bits.
    #[error("{0} categories: a class map has room for 254 beside the background (0) and ignored pixels (255)")]
    TooManyCategories(usize),
    /// A map does not have the length that its size asks for.
    #[error("the class map has {found} pixels, but {width} × {height} are {expected}")]
    Length {
        /// Pixels that the map has.
        found: usize,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Pixels of that size.
        expected: u64,
    },
    /// An image without pixels, or with more than a class map may have.
    #[error(transparent)]
    Size(#[from] SizeError),
    /// A class map has an id that no category has.
    #[error("{file} has pixels of class {class}, but there are {classes} categories")]
    UnknownClass {
        /// Image whose map it is.
        file: String,
        /// Id that was found.
        class: u8,
        /// Number of categories, whose ids are 1 to this.
        classes: usize,
    },
}

/// Something wrong with one annotation or image, which was left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// File in which it stands.
    pub file: String,
    /// Image, by its file name or else its id.
    pub image: Option<String>,
    /// Annotation, by its id, or its position in files without ids.
    pub annotation: Option<String>,
    /// Kind of the problem.
    pub trouble: Trouble,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(image) = &self.image {
            write!(f, ", image {image}")?;
        }
        if let Some(annotation) = &self.annotation {
            write!(f, ", annotation {annotation}")?;
        }
        write!(f, ": {}", self.trouble)
    }
}

/// Kind of problem of an annotation or an image.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Trouble {
    /// An annotation of an image that the file does not list.
    #[error("image id {0} is not in the file's list of images")]
    UnknownImage(u64),
    /// An annotation of a category that is not listed.
    #[error("category {0} is not in the list of categories")]
    UnknownCategory(String),
    /// An annotation without a category.
    #[error("no category is given")]
    NoCategory,
    /// An image id or a file name that stands twice.
    #[error("this image stands in the file twice; the first one is used")]
    DuplicateImage,
    /// An annotation id that stands twice.
    #[error("this id stands in the file twice; the first one is used")]
    DuplicateAnnotation,
    /// An image without a file name.
    #[error("the image has no file name")]
    NoFileName,
    /// An image without pixels, or with more than a class map may have.
    #[error("the image's size is given as {width} × {height}: it must have 1 to {MAX_PIXELS} pixels")]
    BadSize {
        /// Width in pixels.
        width: u64,
        /// Height in pixels.
        height: u64,
    },
    /// The image's size is neither in the file nor known.
    #[error("the size of the image is not known: it is not in the file, and no image of this name was found")]
    NoSize,
    /// Two sizes of one image.
    #[error("the annotation is for {found_width} × {found_height} pixels, but the image has {width} × {height}")]
    SizesDisagree {
        /// Width that the annotation was made for.
        found_width: u64,
        /// Height that the annotation was made for.
        found_height: u64,
        /// Width of the image.
        width: u32,
        /// Height of the image.
        height: u32,
    },
    /// Too few points for the shape.
    #[error("the {shape} has {found} points and needs {needs}")]
    Points {
        /// Name of the shape.
        shape: &'static str,
        /// Points that it has.
        found: usize,
        /// Points that it needs.
        needs: &'static str,
    },
    /// An odd number of coordinates.
    #[error("the polygon has {0} coordinates: x and y come in pairs")]
    OddCoordinates(usize),
    /// A coordinate that is NaN, infinite or beyond any image.
    #[error("{0:?} is no pixel coordinate")]
    Coordinate(f64),
    /// A relative coordinate that is outside the image by more than rounding.
    #[error("{0} is no relative coordinate: it must be between 0 and 1")]
    Relative(f64),
    /// A shape that has no pixel of its image.
    #[error("the shape from ({left}, {top}) to ({right}, {bottom}) is outside its image of {width} × {height} pixels")]
    Outside {
        /// Smallest x.
        left: f64,
        /// Smallest y.
        top: f64,
        /// Largest x.
        right: f64,
        /// Largest y.
        bottom: f64,
        /// Width of the image.
        width: u32,
        /// Height of the image.
        height: u32,
    },
    /// Run lengths that are no mask of this size.
    #[error("the run lengths are no mask: {0}")]
    Runs(#[from] RleError),
    /// A mask that cannot be decoded.
    #[error("the mask cannot be decoded: {0}")]
    Mask(String),
    /// An annotation that covers no area by its kind.
    #[error("a {0} has no area and is left out")]
    NoArea(String),
    /// A shape of a kind that is not known.
    #[error("shapes of the kind {0} are not known")]
    UnknownShape(String),
    /// An annotation with a box only.
    #[error("the annotation has no segmentation, only a box")]
    NoSegmentation,
    /// A task that several people annotated.
    #[error("the task has {0} annotations; the ground truth, or else the first, is used")]
    SeveralAnnotations(usize),
    /// An image that was turned while it was annotated.
    #[error("the image was turned by {0}° while it was annotated: turn the image itself instead")]
    Turned(f64),
    /// A line or an element that cannot be read.
    #[error("{0}")]
    Malformed(String),
    /// A segment that a panoptic PNG has and its JSON has not.
    #[error("the PNG has a segment {0} that the file does not list")]
    UnknownSegment(u32),
}
