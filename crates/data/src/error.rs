//! Everything that can go wrong between a folder and a batch. Each variant names the file or the sample.

use crate::config::Split;
use crate::dataset::IGNORE;
use crate::labels::Label;
use contract::{Invalid, OUT_OF_MEMORY, TorchError, caught};
use image::ImageError;
use std::{io, path::PathBuf};

/// Why a data set, a sample or a batch could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration cannot work.
    #[error(transparent)]
    Config(#[from] Invalid),
    /// A part of a data set is not where it should be.
    #[error("looked for the {what} at {path} and found none; {hint}", path = path.display())]
    Missing {
        /// What was looked for.
        what: &'static str,
        /// Where, as an absolute path if the system can tell.
        path: PathBuf,
        /// What to do about it.
        hint: &'static str,
    },
    /// The operating system could not read a file.
    #[error("cannot read {path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not an image that can be decoded, or is larger than any image should be.
    #[error("cannot decode {path}: {source}", path = path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
        source: ImageError,
    },
    /// A file is an image of a kind that is not read, too large, or none at all.
    #[error("{path} {problem}", path = path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// The kind of file it is, and what to do.
        problem: String,
    },
    /// A file ends before its image does.
    #[error("{path} is cut off: it ends before its image does; get the file again", path = path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
    },
    /// A mask is stored in a way that has no labels in it.
    #[error("the mask {path} {problem}", path = path.display())]
    MaskFormat {
        /// The file.
        path: PathBuf,
        /// How it is stored, and how it should be.
        problem: String,
    },
    /// A mask file holds a value or a colour that is no label.
    #[error("the mask {path} holds {found} at row {row}, column {column}; {expected}", path = path.display())]
    Label {
        /// The file.
        path: PathBuf,
        /// The value or colour.
        found: Label,
        /// The first pixel that has it: its row, from 0.
        row: usize,
        /// Its column, from 0.
        column: usize,
        /// The labels there are.
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
    /// A line of a list of samples is not what it should be.
    #[error("{path}, line {line}: {problem}", path = path.display())]
    List {
        /// The list.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// A list of samples, or the names in a folder, are more than can be kept.
    #[error("{path} is too large: names and paths may have {largest} bytes in all; split it", path = path.display())]
    TooLarge {
        /// The list or folder.
        path: PathBuf,
        /// The most bytes there may be.
        largest: u64,
    },
    /// Images and masks in folders cannot be told to belong together.
    #[error("{} {what}: {}; {hint}", groups.len(), shown(groups))]
    Unmatched {
        /// What is wrong with them.
        what: &'static str,
        /// The folder that they are in.
        folder: PathBuf,
        /// Each of them, or those that belong together; below `folder`.
        groups: Vec<Vec<String>>,
        /// What to do about it.
        hint: String,
    },
    /// The rule that splits a data set leaves a part without samples.
    #[error(
        "the {split} split has none of the {samples} samples: add samples, take fewer folds in data.split.fold, or \
         name the samples of each split (which may share some) in data.split.train and data.split.validation"
    )]
    EmptySplit {
        /// The part.
        split: Split,
        /// How many samples both parts have together.
        samples: u64,
    },
    /// A list names no sample.
    #[error("{path} names no sample: write one on each line, or name another list", path = path.display())]
    Empty {
        /// The list.
        path: PathBuf,
    },
    /// A sample that a data set does not have was asked for.
    #[error("there is no sample {index}: the data set has {len}")]
    Index {
        /// What was asked for.
        index: u64,
        /// How many samples there are.
        len: u64,
    },
    /// A data set gave a sample of another shape than it said.
    #[error("sample '{name}': its {what} has {found} bytes, expected {expected}")]
    Shape {
        /// The sample.
        name: String,
        /// `image` or `mask`.
        what: &'static str,
        /// Bytes that the data set's size asks for.
        expected: usize,
        /// Bytes that it gave.
        found: usize,
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
        /// How many classes there are.
        classes: u64,
    },
    /// An image could not be brought to the wanted size.
    #[error("cannot resize {}x{} pixels (height x width) to {}x{}: {problem}", from[0], from[1], to[0], to[1])]
    Resize {
        /// Height and width before.
        from: [u32; 2],
        /// Height and width that were wanted.
        to: [u32; 2],
        /// What is wrong.
        problem: String,
    },
    /// One sample more cannot be loaded than may be skipped.
    #[error(
        "sample '{name}': {source}; {most} others were skipped before it, more than data.loader.max_skipped allows would be"
    )]
    TooManySkipped {
        /// The sample.
        name: String,
        /// How many others were skipped.
        most: u64,
        /// Why it cannot be loaded.
        source: Box<Self>,
    },
    /// The system gives no memory for a batch.
    #[error("{OUT_OF_MEMORY} ({:.2} GB more were asked for a batch)", *bytes as f64 / 1e9)]
    OutOfMemory {
        /// Bytes that were asked for.
        bytes: u64,
    },
    /// A cache in memory would be larger than what the machine has left.
    #[error(
        "data.loader.cache is \"memory\" and needs {:.1} GB for {samples} samples, but {:.1} GB are available: \
         take \"disk\" or \"none\"", *needed as f64 / 1e9, *available as f64 / 1e9
    )]
    Memory {
        /// Bytes of all samples.
        needed: u64,
        /// Bytes that the system says can be had without swapping.
        available: u64,
        /// How many samples there are.
        samples: u64,
    },
    /// A cache would be larger than what the disk has left.
    #[error(
        "a cache in {folder} needs {:.1} GB, the disk has {:.1} GB left: name another folder in \
         data.loader.cache_folder, or take another data.loader.cache",
        *needed as f64 / 1e9, *free as f64 / 1e9, folder = folder.display()
    )]
    NoRoom {
        /// The folder.
        folder: PathBuf,
        /// Bytes that the cache takes.
        needed: u64,
        /// Bytes that the disk has left.
        free: u64,
    },
    /// The system could not do something with the file of a cache.
    #[error(
        "cannot {doing} {path}: {source}; data.loader.cache_folder may name another folder, and data.loader.cache \"none\" needs none",
        path = path.display()
    )]
    Cache {
        /// What was to be done.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// libtorch could not take a batch.
    #[error("the batch that begins with sample '{first}': {source}")]
    Torch {
        /// The first sample of the batch.
        first: String,
        /// What libtorch said.
        source: TorchError,
    },
    /// Code that loads samples panicked.
    #[error("loading {what} panicked: {message}")]
    Panic {
        /// What was being loaded.
        what: String,
        /// The panic's message.
        message: String,
    },
    /// The system gave no thread.
    #[error("cannot start a loader thread: {source}; fewer data.loader.workers may help, 0 needs none")]
    Thread {
        /// What the system said.
        source: io::Error,
    },
}

/// How many of many a message names.
const NAMED: usize = 3;

/// The first of the groups of files.
fn shown(groups: &[Vec<String>]) -> String {
    let named: Vec<String> = groups.iter().take(NAMED).map(|group| group.join(" and ")).collect();
    named.join(", ") + if groups.len() > NAMED { ", …" } else { "" }
}

/// Runs `load`; a panic in it becomes an error about `what`, so that no thread dies with somebody waiting for it.
pub(crate) fn guarded<T>(what: impl FnOnce() -> String, load: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    // Nothing that `load` can leave half-changed is looked at afterwards: the error ends the epoch.
    caught(load).unwrap_or_else(|message| Err(Error::Panic { what: what(), message }))
}
