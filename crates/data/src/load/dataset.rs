//! The trait of a data set: named samples that any thread can load by index.

use crate::decode::part;
use crate::decode::remarks::Remark;
use crate::error::Error;
use crate::load::class_index::ClassIndex;
use crate::load::layout::Layout;
use crate::load::{Sample, Target, Targets};
use crate::transform::resize::Rectangle;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// The files that a sample comes from, as the file system describes them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Source {
    /// Sum of their sizes, in bytes; where masks are painted, of the image's size and a digest of the annotations.
    pub bytes: u64,
    /// Latest modification time, in nanoseconds since 1970; 0 if unknown.
    pub modified: u64,
}

/// Samples for training, validation or prediction. Loading must depend on nothing but the index.
///
/// Implement it for data of your own: [`len`](Self::len), [`size`](Self::size), [`name`](Self::name) and
/// [`load`](Self::load), and [`targets`](Self::targets) where the targets are no class ids. With
/// [`source`](Self::source) the [`fingerprint`](crate::fingerprint()) notices files that were replaced. Report errors
/// of your own code with [`Error::of_sample`].
pub trait Dataset: Send + Sync {
    /// Returns the number of samples.
    fn len(&self) -> u64;

    /// Returns whether there are no samples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns height and width of every sample, in pixels; `None` where they differ.
    fn size(&self) -> Option<[u32; 2]>;

    /// Returns the numbers a pixel of the images: 3 for colours, 1 for greyscale.
    fn channels(&self) -> u32 {
        3
    }

    /// Returns depth and range of the images' numbers: bytes, unless it is overridden, as with
    /// `Layout { depth: Depth::U16, ..Layout::from(self.channels()) }`.
    fn layout(&self) -> Layout {
        self.channels().into()
    }

    /// Returns the form of every sample's target: class ids, or numbers.
    fn targets(&self) -> Targets {
        Targets::Classes
    }

    /// Returns the name of a sample, for messages and for the files of its predictions.
    fn name(&self, index: u64) -> String;

    /// Loads a sample into `sample`, reusing its buffers whatever they hold. After an error their content is
    /// unspecified. An index out of range is [`Error::Index`].
    fn load(&self, index: u64, sample: &mut Sample) -> Result<(), Error>;

    /// Loads a part of a sample alone: that which `choose` returns for the sample's height and width. Returns whether
    /// it did; sources that read samples only as a whole keep this default.
    fn part(
        &self,
        _index: u64,
        _choose: &mut dyn FnMut([u32; 2]) -> Rectangle,
        _sample: &mut Sample,
    ) -> Result<bool, Error> {
        Ok(false)
    }

    /// Loads only the target of a sample. [`verify`](crate::verify) calls this, so sources that can check more than its
    /// values (does the image have the same size?) do it here.
    fn target(&self, index: u64) -> Result<Target, Error> {
        let mut sample = Sample::default();
        self.load(index, &mut sample).map(|()| sample.target)
    }

    /// Loads only the class ids of a sample, with the height and width that [`load`](Self::load) gives it. Sources that
    /// can do so without loading the image override it where sizes differ.
    fn mask(&self, index: u64) -> Result<([u32; 2], Vec<u8>), Error> {
        if let Some(size) = self.size() {
            return self.target(index).map(|mut target| (size, std::mem::take(target.classes_mut())));
        }
        let mut sample = Sample::default();
        self.load(index, &mut sample).map(|()| (sample.size, std::mem::take(sample.target.classes_mut())))
    }

    /// Loads a sample at the size in its source, for [`check`](crate::check()). Sources that know only one size keep
    /// this default.
    fn whole(&self, index: u64, sample: &mut Sample) -> Result<(), Error> {
        self.load(index, sample)
    }

    /// Loads only the class ids of a sample at the size in its source, with that height and width. Of targets that are
    /// no class ids there are none.
    fn whole_mask(&self, index: u64) -> Result<([u32; 2], Vec<u8>), Error> {
        let mut sample = Sample::default();
        self.whole(index, &mut sample).map(|()| (sample.size, std::mem::take(sample.target.classes_mut())))
    }

    /// Returns the index of where the classes are; `None` unless one was made, as [`indexed`](crate::indexed()) does.
    fn class_index(&self) -> Option<&dyn ClassIndex> {
        None
    }

    /// Returns the files of a sample: its image, then its mask or annotation. Sources without files keep this default.
    fn paths(&self, _index: u64) -> Result<Vec<PathBuf>, Error> {
        Ok(Vec::new())
    }

    /// Returns remarks on a sample's files, each with its file, about properties that the decoded sample does not show.
    /// Reads the files' headers. Sources without files keep this default.
    fn remarks(&self, _index: u64) -> Vec<(Remark, PathBuf)> {
        Vec::new()
    }

    /// Returns a sentence for each annotation that was left out when the data set was opened. Sources without
    /// annotations keep this default.
    fn left_out(&self) -> &[String] {
        &[]
    }

    /// Returns size and time of the sample's files from the file system, without opening one: part of the
    /// [`fingerprint`](crate::fingerprint()). Sources without files keep this default: their content follows from the
    /// configuration.
    fn source(&self, _index: u64) -> Result<Source, Error> {
        Ok(Source::default())
    }
}

/// Defines the methods of [`Dataset`] that a data set over another one, its `source`, leaves to that.
macro_rules! as_the_source {
    () => {
        fn len(&self) -> u64 {
            self.source.len()
        }

        fn size(&self) -> Option<[u32; 2]> {
            self.source.size()
        }

        fn channels(&self) -> u32 {
            self.source.channels()
        }

        fn layout(&self) -> $crate::load::layout::Layout {
            self.source.layout()
        }

        fn targets(&self) -> $crate::load::Targets {
            self.source.targets()
        }

        fn name(&self, index: u64) -> String {
            self.source.name(index)
        }

        fn whole(&self, index: u64, sample: &mut $crate::load::Sample) -> Result<(), $crate::error::Error> {
            self.source.whole(index, sample)
        }

        fn whole_mask(&self, index: u64) -> Result<([u32; 2], Vec<u8>), $crate::error::Error> {
            self.source.whole_mask(index)
        }

        fn paths(&self, index: u64) -> Result<Vec<std::path::PathBuf>, $crate::error::Error> {
            self.source.paths(index)
        }

        fn remarks(&self, index: u64) -> Vec<($crate::decode::remarks::Remark, std::path::PathBuf)> {
            self.source.remarks(index)
        }

        fn left_out(&self) -> &[String] {
            self.source.left_out()
        }

        fn source(&self, index: u64) -> Result<$crate::load::dataset::Source, $crate::error::Error> {
            self.source.source(index)
        }
    };
}
pub(crate) use as_the_source;

impl Source {
    /// Describes the files at `paths` together.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] for the first one that the system does not describe.
    pub fn of<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Result<Self, Error> {
        let mut all = Self::default();
        for path in paths.into_iter().flat_map(part::pieces) {
            let about = fs::metadata(part::file(&path)).map_err(|source| Error::Io { path: path.clone(), source })?;
            // A missing time, or one before 1970, counts as unknown.
            let modified = about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            all.bytes = all.bytes.saturating_add(about.len());
            all.modified = all.modified.max(modified.map_or(0, |since| since.as_nanos() as u64));
        }
        Ok(all)
    }
}

/// Returns the item at `index` of a data set's list.
pub(crate) fn item<T>(items: &[T], index: u64) -> Result<&T, Error> {
    let found = usize::try_from(index).ok().and_then(|index| items.get(index));
    found.ok_or(Error::Index { index, len: items.len() as u64 })
}
