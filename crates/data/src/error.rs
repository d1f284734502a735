//! Errors between a folder and a batch. Each variant names the file or the sample.

use crate::label::pixel::Label;
use crate::list::split::Split;
use crate::load::IGNORE;
use contract::{BoxError, Invalid, OUT_OF_MEMORY, TorchError, caught};
use image::ImageError;
use raster::Depth;
use std::{io, path::PathBuf};

/// Reason why a data set, a sample or a batch is not available.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration cannot work.
    #[error(transparent)]
    Config(#[from] Invalid),
    /// A part of a data set was not found.
    #[error("looked for the {what} at {path} and found none; {hint}", path = path.display())]
    Missing {
        /// Description of the part.
        what: &'static str,
        /// Path that was searched, absolute if the system can resolve it.
        path: PathBuf,
        /// Advice.
        hint: &'static str,
    },
    /// The operating system could not read a file.
    #[error("cannot read {path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A file is not an image that can be decoded, or is larger than any image should be.
    #[error("cannot decode {path}: {source}", path = path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// The decoder's error.
        source: ImageError,
    },
    /// An image of many bands or bits cannot be read.
    #[error(transparent)]
    Raster(Box<raster::Error>),
    /// A file is an image of an unsupported kind, too large, or no image at all.
    #[error("{path} {problem}", path = path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// Kind of the file, and what to do.
        problem: String,
    },
    /// A file ends before its image does.
    #[error("{path} is cut off: it ends before its image does; get the file again", path = path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
    },
    /// A mask is stored in a format that cannot hold labels.
    #[error("the mask {path} {problem}", path = path.display())]
    MaskFormat {
        /// The file.
        path: PathBuf,
        /// Format of the mask, and the one it should have.
        problem: String,
    },
    /// A mask file holds a value or a colour that is no label.
    #[error("the mask {path} holds {found} at row {row}, column {column}; {expected}", path = path.display())]
    Label {
        /// The file.
        path: PathBuf,
        /// The value or colour.
        found: Label,
        /// Row of the first pixel that has it, from 0.
        row: usize,
        /// Column of that pixel, from 0.
        column: usize,
        /// The valid labels.
        expected: String,
    },
    /// An image and its mask differ in size.
    #[error(
        "the mask {mask} is {}x{} pixels (height x width), its image {image} is {}x{}{hint}",
        mask_size[0], mask_size[1], image_size[0], image_size[1],
        mask = mask.display(), image = image.display()
    )]
    SizeMismatch {
        /// The image file.
        image: PathBuf,
        /// Its height and width.
        image_size: [u32; 2],
        /// The mask file.
        mask: PathBuf,
        /// Its height and width.
        mask_size: [u32; 2],
        /// Advice if an orientation note is the reason, else empty.
        hint: &'static str,
    },
    /// A line of a list of samples is malformed.
    #[error("{path}, line {line}: {problem}", path = path.display())]
    List {
        /// The list.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// The problem, and its correction.
        problem: String,
    },
    /// The names in a list of samples or in a folder take too much space.
    #[error("{path} is too large: names and paths may have {largest} bytes in all; split it", path = path.display())]
    TooLarge {
        /// The list or folder.
        path: PathBuf,
        /// Maximum size, in bytes.
        largest: u64,
    },
    /// Images and masks in folders cannot be matched.
    #[error("{} {what}: {}; {hint}", groups.len(), shown(groups))]
    Unmatched {
        /// The problem.
        what: &'static str,
        /// Folder that holds them.
        folder: PathBuf,
        /// Paths below `folder`: each file alone, or those that belong together.
        groups: Vec<Vec<String>>,
        /// Advice.
        hint: String,
    },
    /// A file of annotations cannot be read.
    #[error(transparent)]
    Annotations(#[from] annotation::Error),
    /// An image and its annotations do not fit.
    #[error("{0}; annotate the image again, or take it out of the file")]
    Annotated(Box<annotation::Problem>),
    /// The splitting rule leaves a split without samples.
    #[error(
        "the {split} split has none of the {samples} samples: add samples, take fewer folds in data.split.fold, or \
         name the samples of each split (which may share some) in data.split.train and data.split.validation"
    )]
    EmptySplit {
        /// The empty split.
        split: Split,
        /// Number of samples in both splits together.
        samples: u64,
    },
    /// A list names no sample.
    #[error("{path} names no sample: write one on each line, or name another list", path = path.display())]
    Empty {
        /// The list.
        path: PathBuf,
    },
    /// The index of a requested sample is out of range.
    #[error("there is no sample {index}: the data set has {len}")]
    Index {
        /// The requested index.
        index: u64,
        /// Number of samples.
        len: u64,
    },
    /// A data set returned a sample of another shape than it declares.
    #[error("sample '{name}': its {what} has {found} numbers, expected {expected}")]
    Shape {
        /// The sample.
        name: String,
        /// `image` or `mask`.
        what: &'static str,
        /// Numbers that follow from the data set's size.
        expected: usize,
        /// Numbers that it returned.
        found: usize,
    },
    /// A data set returned an image of another depth than it declares.
    #[error("sample '{name}': its image holds {found:?} numbers, and the data set's `depth` declares {expected:?}")]
    Depth {
        /// The sample.
        name: String,
        /// Kind of the image's numbers.
        found: Depth,
        /// Kind that the data set declares.
        expected: Depth,
    },
    /// Bytes that were passed as an image do not have its shape.
    #[error(
        "pixels of the shape {shape:?} (height, width, channels) cannot be {found} bytes: pass H·W·C bytes, row by row, \
         with 1 to 4 channels"
    )]
    Pixels {
        /// Height, width and channels as passed.
        shape: [u32; 3],
        /// Number of bytes.
        found: usize,
    },
    /// A data set returned a sample of another size than it declares.
    #[error(
        "sample '{name}': it is {}x{} pixels (height x width), and the data set's `size` declares {}x{}",
        found[0], found[1], expected[0], expected[1]
    )]
    Size {
        /// The sample.
        name: String,
        /// Its height and width.
        found: [u32; 2],
        /// Height and width that the data set declares.
        expected: [u32; 2],
    },
    /// A data set returned a target of another form than it declares, or with numbers that it may not hold.
    #[error("sample '{name}': its target {problem}")]
    Target {
        /// The sample.
        name: String,
        /// The problem, with what was expected.
        problem: String,
    },
    /// A data set of another crate could not load a sample.
    #[error("sample '{name}': {source}")]
    Sample {
        /// The sample.
        name: String,
        /// Its error.
        source: BoxError,
    },
    /// A mask holds a class that the model does not have.
    #[error(
        "sample '{name}': its mask holds the class id {found}, expected ids below {classes}, or {IGNORE} to ignore"
    )]
    Class {
        /// The sample.
        name: String,
        /// The class id.
        found: u8,
        /// Number of classes.
        classes: u64,
    },
    /// An image could not be resized.
    #[error("cannot resize {}x{} pixels (height x width) to {}x{}: {problem}", from[0], from[1], to[0], to[1])]
    Resize {
        /// Height and width before.
        from: [u32; 2],
        /// Requested height and width.
        to: [u32; 2],
        /// The problem.
        problem: String,
    },
    /// The number of unreadable samples exceeds the limit.
    #[error(
        "sample '{name}': {source}; {most} others were skipped before it, which is all that data.loader.max_skipped allows"
    )]
    TooManySkipped {
        /// The sample.
        name: String,
        /// Number of samples skipped before it.
        most: u64,
        /// Reason why it cannot be loaded.
        source: Box<Self>,
    },
    /// There is not enough memory for a batch.
    #[error("{OUT_OF_MEMORY} ({:.2} GB more were asked for a batch)", *bytes as f64 / 1e9)]
    OutOfMemory {
        /// Requested bytes.
        bytes: u64,
    },
    /// A cache in memory would exceed the available memory.
    #[error(
        "a cache in memory needs {:.1} GB for {samples} samples{}, but {:.1} GB are available: take \"disk\" or \
         \"none\" as data.loader.cache", *needed as f64 / 1e9, in_each(*processes), *available as f64 / 1e9
    )]
    Memory {
        /// Size of all samples, in bytes.
        needed: u64,
        /// Bytes available without swapping, according to the system.
        available: u64,
        /// Number of samples.
        samples: u64,
        /// Number of processes on this machine that each keep all samples.
        processes: u64,
    },
    /// A cache would exceed the free disk space.
    #[error(
        "a cache in {folder} needs {:.1} GB, the disk has {:.1} GB left: name another folder in \
         data.loader.cache_folder, or take another data.loader.cache",
        *needed as f64 / 1e9, *free as f64 / 1e9, folder = folder.display()
    )]
    NoRoom {
        /// The folder.
        folder: PathBuf,
        /// Size of the cache, in bytes.
        needed: u64,
        /// Free disk space, in bytes.
        free: u64,
    },
    /// An operation on a cache file failed.
    #[error(
        "cannot {doing} {path}: {source}; data.loader.cache_folder may name another folder, and data.loader.cache \"none\" needs none",
        path = path.display()
    )]
    Cache {
        /// The failed operation.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// libtorch failed on a batch.
    #[error("the batch that begins with sample '{first}': {source}")]
    Torch {
        /// The first sample of the batch.
        first: String,
        /// libtorch's error.
        source: TorchError,
    },
    /// Code that loads samples panicked.
    #[error("loading {what} panicked: {message}")]
    Panic {
        /// Description of what was being loaded.
        what: String,
        /// The panic's message.
        message: String,
    },
    /// A thread could not be started.
    #[error("cannot start a loader thread: {source}; fewer data.loader.workers may help, 0 needs none")]
    Thread {
        /// The system's error.
        source: io::Error,
    },
}

impl From<raster::Error> for Error {
    fn from(source: raster::Error) -> Self {
        Self::Raster(Box::new(source))
    }
}

impl Error {
    /// Creates the error of a data set of your own that could not load the sample `name`.
    ///
    /// ```
    /// let error = data::Error::of_sample("street_7", "its depths end after row 3; write the file again");
    /// assert_eq!(error.to_string(), "sample 'street_7': its depths end after row 3; write the file again");
    /// ```
    pub fn of_sample(name: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self::Sample { name: name.into(), source: source.into() }
    }
}

/// Says which processes need memory, if there are several.
fn in_each(processes: u64) -> String {
    if processes > 1 { format!(" in each of {processes} processes") } else { String::new() }
}

/// Maximum number of groups that a message names.
const NAMED: usize = 3;

/// Lists the first groups of files.
fn shown(groups: &[Vec<String>]) -> String {
    let named: Vec<String> = groups.iter().take(NAMED).map(|group| group.join(" and ")).collect();
    named.join(", ") + if groups.len() > NAMED { ", …" } else { "" }
}

/// Runs `load` and turns a panic into an error about `what`, so that no thread dies while another waits for it.
pub(crate) fn guarded<T>(what: impl FnOnce() -> String, load: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    // State that `load` left half-changed is never read afterwards: the error ends the epoch.
    caught(load).unwrap_or_else(|message| Err(Error::Panic { what: what(), message }))
}

/// Prefixes the key of an error with its section.
pub(crate) fn within(section: &str, result: Result<(), Invalid>) -> Result<(), Invalid> {
    result.map_err(|Invalid { key, problem }| Invalid { key: format!("{section}.{key}"), problem })
}
