//! Paths of the samples' files, stored compactly: a list of a million samples is one text and a few numbers for each
//! sample.

use crate::decode::kind::{may_be_numbers, stem};
use crate::decode::part::{self, Axis, joined};
use crate::error::Error;
use crate::list::forms::on_disk;
use crate::list::split::{Hashing, Split};
use crate::load::dataset::item;
use contract::Invalid;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Pattern of a path: the text around the part that varies from sample to sample.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// Text before it.
    pub(crate) prefix: String,
    /// Text after it.
    pub(crate) suffix: String,
}

impl Pattern {
    /// Parses a pattern with `{}` for the variable part; `key` names it in errors.
    pub(crate) fn parse(key: &str, text: &str) -> Result<Self, Invalid> {
        let mut parts = text.split("{}");
        match (parts.next(), parts.next(), parts.next()) {
            (Some(prefix), Some(suffix), None) => Ok(Self { prefix: prefix.into(), suffix: suffix.into() }),
            _ => Err(Invalid { key: key.into(), problem: format!("must hold {{}} once, is '{text}'") }),
        }
    }

    /// Returns the part of `text` that stands for `{}`; `None` if the pattern does not match.
    pub(crate) fn part<'t>(&self, text: &'t str) -> Option<&'t str> {
        text.strip_prefix(&*self.prefix)?.strip_suffix(&*self.suffix).filter(|part| !part.is_empty())
    }

    /// Finds the pattern at the end of a path of a file, pages and slices aside: returns what stands before it, and the
    /// part that stands for `{}`.
    pub(crate) fn found<'t>(&self, path: &'t str) -> Option<[&'t str; 2]> {
        let rest = path.strip_suffix(self.suffix.split('#').next()?)?;
        let at = match self.prefix.is_empty() {
            true => rest.rfind('/').map_or(0, |slash| slash + 1),
            false => rest.rfind(&*self.prefix).filter(|at| *at == 0 || rest.as_bytes()[at - 1] == b'/')?,
        };
        let name = &rest[at + self.prefix.len()..];
        (!name.is_empty()).then(|| [&rest[..at], name])
    }
}

/// Returns the pattern that consists of the variable part alone.
pub(crate) fn whole() -> String {
    "{}".into()
}

/// Spans of one sample's parts in the text, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Name.
    pub(crate) name: [u32; 2],
    /// Variable part of the image's path.
    pub(crate) image: [u32; 2],
    /// Variable part of the mask's path.
    pub(crate) mask: [u32; 2],
}

/// The files of a split, by index.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    /// Folder that all paths are relative to.
    pub(crate) root: PathBuf,
    /// All names and paths, which [`Entry`] refers to.
    pub(crate) text: String,
    /// The samples.
    pub(crate) entries: Vec<Entry>,
    /// Common pattern of the images' paths.
    pub(crate) image: Pattern,
    /// Common pattern of the masks' paths.
    pub(crate) mask: Pattern,
    /// Patterns of the further files of each image.
    pub(crate) more: Vec<Further>,
    /// Axis of slices, and the entry and slice of each sample, where volumes are cut.
    pub(crate) cut: Option<(Axis, Vec<(usize, u32)>)>,
}

/// Pattern of a further file of each image.
#[derive(Debug, Clone)]
pub(crate) enum Further {
    /// Of the file's name, in the place of the first file's.
    Named {
        /// Pattern of the first file.
        from: Pattern,
        /// Pattern of this one.
        to: Pattern,
    },
    /// Of the whole path.
    Listed(Pattern),
}

impl Further {
    /// Returns the path below the root, for the variable `part` of the first file's path, which is in `folder`.
    fn path(&self, folder: &str, part: &str) -> String {
        match self {
            Self::Listed(Pattern { prefix, suffix }) => [prefix, part, suffix].concat(),
            Self::Named { from, to } => {
                let (within, file) =
                    part.rsplit_once('/').map_or(("", part), |(_, file)| (&part[..part.len() - file.len()], file));
                let stem = stem(file);
                let name = from.part(stem).unwrap_or(stem);
                [folder, within, &to.prefix, name, &to.suffix, &file[stem.len()..]].concat()
            }
        }
    }
}

/// Axis and number of the slice that a sample is, if it is one.
type OfSlice = Option<(Axis, u32)>;

/// Stands for a slice of an image that is no volume.
const WHOLE: u32 = u32::MAX;

fn of_slice(path: PathBuf, slice: OfSlice) -> PathBuf {
    slice.map_or_else(|| path.clone(), |(axis, index)| part::slice(&path, axis, index))
}

/// Maximum size of the names and paths of a split, in bytes.
pub(crate) const LARGEST_TEXT: u64 = u32::MAX as u64;

/// Returns the error that the paths of a split, from `list`, exceed [`LARGEST_TEXT`].
pub(crate) fn too_large(list: &Path) -> Error {
    Error::TooLarge { path: list.into(), largest: LARGEST_TEXT }
}

impl Paths {
    /// Creates an empty split of files below `root`, with complete paths.
    pub(crate) fn new(root: &Path) -> Self {
        let whole = Pattern::default();
        Self {
            root: root.into(),
            text: String::new(),
            entries: Vec::new(),
            image: whole.clone(),
            mask: whole,
            more: Vec::new(),
            cut: None,
        }
    }

    /// Appends a sample: its name, and the variable parts of its paths. `list`, the source of the paths, is named in
    /// the error if there is no space left.
    pub(crate) fn push(&mut self, [name, image, mask]: [&str; 3], list: &Path) -> Result<(), Error> {
        let image = self.place(image, None, list)?;
        let mask = self.place(mask, Some(image), list)?;
        let name = self.place(name, Some(image), list)?;
        self.entries.push(Entry { name, image, mask });
        Ok(())
    }

    /// Returns the span of `part`: the beginning of `before` if that starts with `part`, else the end of the text, to
    /// which it is appended.
    fn place(&mut self, part: &str, before: Option<[u32; 2]>, list: &Path) -> Result<[u32; 2], Error> {
        let end = |start: u32| u32::try_from(start as usize + part.len()).map_err(|_| too_large(list));
        if let Some([start, _]) = before.filter(|span| self.part(*span).starts_with(part)) {
            return Ok([start, end(start)?]);
        }
        let start = u32::try_from(self.text.len()).map_err(|_| too_large(list))?;
        let span = [start, end(start)?];
        self.text.push_str(part);
        Ok(span)
    }

    /// Keeps the samples of `split`; an error if none is left.
    pub(crate) fn keep(&mut self, by: Hashing, split: Split) -> Result<(), Error> {
        let samples = self.len();
        let mut splits = by.splits(self.entries.iter().map(|entry| self.part(entry.name)))?.into_iter();
        let mut entries = std::mem::take(&mut self.entries);
        entries.retain(|_| splits.next() == Some(split));
        entries.shrink_to_fit();
        self.entries = entries;
        if self.entries.is_empty() { Err(Error::EmptySplit { split, samples }) } else { Ok(()) }
    }

    /// Makes a sample of each slice of the images that are volumes. Opens them all to count their slices. The split
    /// was made before: all slices of a volume are in one split.
    pub(crate) fn slice(&mut self, axis: Axis) -> Result<(), Error> {
        let mut samples = Vec::new();
        for (number, entry) in self.entries.iter().enumerate() {
            match part::slices(&self.path(&self.image, entry.image), axis)? {
                Some(count) => samples.extend((0..count).map(|slice| (number, slice))),
                None => samples.push((number, WHOLE)),
            }
        }
        self.cut = Some((axis, samples));
        Ok(())
    }

    pub(crate) fn len(&self) -> u64 {
        self.cut.as_ref().map_or(self.entries.len(), |(_, samples)| samples.len()) as u64
    }

    /// Returns the files of a sample, and the slice of them that it is.
    fn entry(&self, index: u64) -> Result<(&Entry, OfSlice), Error> {
        let Some((axis, samples)) = &self.cut else { return Ok((item(&self.entries, index)?, None)) };
        let (number, slice) = *item(samples, index)?;
        Ok((item(&self.entries, number as u64)?, (slice != WHOLE).then_some((*axis, slice))))
    }

    /// Returns the name of a sample; empty for an index out of range.
    pub(crate) fn name(&self, index: u64) -> String {
        match self.entry(index) {
            Ok((entry, Some((axis, slice)))) => format!("{}_{}{slice:03}", self.part(entry.name), axis.name()),
            Ok((entry, None)) => self.part(entry.name).into(),
            Err(_) => String::new(),
        }
    }

    pub(crate) fn image(&self, index: u64) -> Result<PathBuf, Error> {
        let (entry, slice) = self.entry(index)?;
        Ok(of_slice(self.all(entry), slice))
    }

    /// Returns the files of an image as one path.
    fn all(&self, entry: &Entry) -> PathBuf {
        let first = self.path(&self.image, entry.image);
        if self.more.is_empty() {
            return first;
        }
        let part = self.part(entry.image);
        let further = self.more.iter().map(|further| on_disk(&self.root, &further.path(&self.image.prefix, part)));
        joined(&std::iter::once(first).chain(further).collect::<Vec<_>>())
    }

    pub(crate) fn mask(&self, index: u64) -> Result<PathBuf, Error> {
        let (entry, slice) = self.entry(index)?;
        let path = self.path(&self.mask, entry.mask);
        // The mask of a slice may be a file of its own.
        Ok(if may_be_numbers(&path) { of_slice(path, slice) } else { path })
    }

    fn part(&self, [start, end]: [u32; 2]) -> &str {
        self.text.get(Range { start: start as usize, end: end as usize }).unwrap_or_default()
    }

    fn path(&self, pattern: &Pattern, part: [u32; 2]) -> PathBuf {
        on_disk(&self.root, &[&pattern.prefix, self.part(part), &pattern.suffix].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list::split::Rule;

    #[test]
    fn a_pattern_has_one_place() {
        let pattern = Pattern::parse("image_name", "a_{}_b").unwrap();
        assert_eq!((pattern.part("a_x_y_b"), pattern.part("a_b"), pattern.part("a__b")), (Some("x_y"), None, None));
        assert_eq!(Pattern::parse("image_name", "{}").unwrap(), Pattern::default());
        for text in ["", "a", "{}{}", "{}/{}", "{x}"] {
            assert_eq!(Pattern::parse("image_name", text).unwrap_err().key, "image_name", "{text}");
        }
    }

    #[test]
    fn parts_that_are_the_same_stand_in_the_text_once() {
        let mut paths = Paths::new(Path::new("root"));
        paths.push(["a/1", "a/1.jpg", "a/1.jpg"], Path::new("")).unwrap();
        paths.push(["2", "b/2.jpg", "c/2.png"], Path::new("")).unwrap();
        assert_eq!(paths.text, "a/1.jpgb/2.jpgc/2.png2");
        let all = |index| (paths.name(index), paths.image(index).unwrap(), paths.mask(index).unwrap());
        assert_eq!(all(0), ("a/1".into(), "root/a/1.jpg".into(), "root/a/1.jpg".into()));
        assert_eq!(all(1), ("2".into(), "root/b/2.jpg".into(), "root/c/2.png".into()));
        assert!(matches!(paths.image(2), Err(Error::Index { index: 2, len: 2 })));
    }

    #[test]
    fn a_split_without_samples_is_an_error() {
        for (rule, names) in [(Rule::Fraction(1e-9), ["a", "a"]), (Rule::Fold { part: 0, of: 1000 }, ["a", "b"])] {
            let mut paths = Paths::new(Path::new("root"));
            names.iter().for_each(|name| paths.push([name, "a.jpg", "a.png"], Path::new("")).unwrap());
            let error = paths.keep(Hashing { rule, group: None }, Split::Validation).unwrap_err().to_string();
            assert!(error.starts_with("the validation split has none of the 2 samples: add samples"), "{error}");
        }
    }

    #[test]
    fn a_share_of_few_samples_leaves_no_split_empty() {
        let of = |rule, split| {
            let mut paths = Paths::new(Path::new("root"));
            ["a", "b", "b", "c"].iter().for_each(|name| paths.push([name, "a.jpg", "a.png"], Path::new("")).unwrap());
            paths.keep(Hashing { rule, group: None }, split).unwrap();
            (0..paths.len()).map(|index| paths.name(index)).collect::<Vec<_>>()
        };
        for share in [1e-9, 1.0 - 1e-9] {
            let [train, validation] = [Split::Train, Split::Validation].map(|split| of(Rule::Fraction(share), split));
            assert_eq!(train.len() + validation.len(), 4);
            assert!(train.iter().all(|name| !validation.contains(name)), "{train:?} {validation:?}");
        }
        // A larger share takes the stand-in first, so the stand-in stays the same sample.
        let stand_in = of(Rule::Fraction(1e-9), Split::Validation);
        let more = (1..100).map(|percent| of(Rule::Fraction(f64::from(percent) / 100.0), Split::Validation));
        assert!(more.into_iter().all(|more| stand_in.iter().all(|name| more.contains(name))));
    }
}
