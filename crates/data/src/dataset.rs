//! What a data set is: a number of named samples, each to be had by its index from any thread.

use crate::decode::Remark;
use crate::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// The class id of mask pixels that count in no loss and no metric: [`contract::IGNORE_INDEX`] as a byte.
pub const IGNORE: u8 = 255;

/// An image and what each of its pixels shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sample {
    /// Height and width, in pixels.
    pub size: [u32; 2],
    /// `H×W×C` bytes, row by row: red, green, blue of each pixel, or its grey value.
    pub image: Vec<u8>,
    /// `H×W` class ids, or [`IGNORE`].
    pub mask: Vec<u8>,
}

/// The files that a sample comes from, as the file system describes them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Source {
    /// Their sizes together, in bytes.
    pub bytes: u64,
    /// When the last of them was written to, in nanoseconds since 1970; 0 where nobody knows.
    pub modified: u64,
}

/// Samples to train on, to validate with or to predict. Loading must depend on nothing but the index.
pub trait Dataset: Send + Sync {
    /// How many samples there are.
    fn len(&self) -> u64;

    /// Whether there is no sample at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Height and width of every sample, in pixels; `None` where they differ.
    fn size(&self) -> Option<[u32; 2]>;

    /// Bytes a pixel of the images: 3 for colours, 1 for grey scale.
    fn channels(&self) -> u32 {
        3
    }

    /// The name of a sample, for messages and for the files that predictions go to.
    fn name(&self, index: u64) -> String;

    /// Puts a sample into `sample`, whatever that holds: its buffers are there to be used again. After an error what it
    /// holds means nothing. An index that is not there is [`Error::Index`].
    fn load(&self, index: u64, sample: &mut Sample) -> Result<(), Error>;

    /// Only the mask of a sample. Sources that can say more about whether the sample is sound than the values of the
    /// mask (does its image have the same size?) do so here: it is what [`verify`](crate::verify) calls.
    fn mask(&self, index: u64) -> Result<Vec<u8>, Error> {
        let mut sample = Sample::default();
        self.load(index, &mut sample).map(|()| sample.mask)
    }

    /// A sample as its source has it, before it is brought to a size: what [`check`](crate::check()) looks at. Sources that
    /// have no other size leave it as it is.
    fn whole(&self, index: u64, sample: &mut Sample) -> Result<(), Error> {
        self.load(index, sample)
    }

    /// The mask alone of a sample as its source has it, with its height and width.
    fn whole_mask(&self, index: u64) -> Result<([u32; 2], Vec<u8>), Error> {
        let mut sample = Sample::default();
        self.whole(index, &mut sample).map(|()| (sample.size, sample.mask))
    }

    /// The files of a sample: its image, then its mask. Sources without files leave it as it is.
    fn paths(&self, _index: u64) -> Result<Vec<PathBuf>, Error> {
        Ok(Vec::new())
    }

    /// Returns remarks on a sample's files, each with its file: what the decoded sample does not show. Reads their
    /// headers. Sources without files keep this default.
    fn remarks(&self, _index: u64) -> Vec<(Remark, PathBuf)> {
        Vec::new()
    }

    /// What the file system knows of the sample's files, without opening one: part of the
    /// [`fingerprint`](crate::fingerprint()). Sources without files leave it as it is: what they give is all in the
    /// configuration.
    fn source(&self, _index: u64) -> Result<Source, Error> {
        Ok(Source::default())
    }
}

impl Source {
    /// Of the files at `paths` together.
    pub(crate) fn of<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Result<Self, Error> {
        let mut all = Self::default();
        for path in paths {
            let about = fs::metadata(path).map_err(|source| Error::Io { path: path.into(), source })?;
            // A file system without times, or one before 1970, says nothing.
            let modified = about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            all.bytes = all.bytes.saturating_add(about.len());
            all.modified = all.modified.max(modified.map_or(0, |since| since.as_nanos() as u64));
        }
        Ok(all)
    }
}

/// Pixels of an image of `size`.
pub(crate) fn pixels([height, width]: [u32; 2]) -> usize {
    height as usize * width as usize
}

/// The item at `index` of a data set's list.
pub(crate) fn item<T>(items: &[T], index: u64) -> Result<&T, Error> {
    let found = usize::try_from(index).ok().and_then(|index| items.get(index));
    found.ok_or(Error::Index { index, len: items.len() as u64 })
}
