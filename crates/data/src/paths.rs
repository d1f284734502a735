//! Which files the samples of a data set are made of. A list of a million samples is one text and a few numbers for each.

use crate::dataset::item;
use crate::error::Error;
use std::ops::Range;
use std::path::PathBuf;

/// What a path is made of, around a part that differs from sample to sample.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// Before it.
    pub(crate) prefix: String,
    /// After it.
    pub(crate) suffix: String,
}

/// Where in the text the parts of one sample stand, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its name.
    pub(crate) name: [u32; 2],
    /// What differs in the path of its image.
    pub(crate) image: [u32; 2],
    /// What differs in the path of its mask.
    pub(crate) mask: [u32; 2],
}

/// The files of a split, by index.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    /// What all paths are relative to.
    pub(crate) root: PathBuf,
    /// All names and paths, as [`Entry`] cuts them out.
    pub(crate) text: String,
    /// The samples.
    pub(crate) entries: Vec<Entry>,
    /// What the paths of images have in common.
    pub(crate) image: Pattern,
    /// What the paths of masks have in common.
    pub(crate) mask: Pattern,
}

impl Paths {
    pub(crate) fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    /// The name of a sample; empty for one that is not there.
    pub(crate) fn name(&self, index: u64) -> &str {
        item(&self.entries, index).map(|entry| self.cut(entry.name)).unwrap_or_default()
    }

    pub(crate) fn image(&self, index: u64) -> Result<PathBuf, Error> {
        Ok(self.path(&self.image, item(&self.entries, index)?.image))
    }

    pub(crate) fn mask(&self, index: u64) -> Result<PathBuf, Error> {
        Ok(self.path(&self.mask, item(&self.entries, index)?.mask))
    }

    fn cut(&self, [start, end]: [u32; 2]) -> &str {
        self.text.get(Range { start: start as usize, end: end as usize }).unwrap_or_default()
    }

    fn path(&self, pattern: &Pattern, part: [u32; 2]) -> PathBuf {
        self.root.join([&pattern.prefix, self.cut(part), &pattern.suffix].concat())
    }
}
