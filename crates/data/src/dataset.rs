//! What a data set is: a number of named samples of one size, each to be had by its index from any thread.

use crate::error::Error;
use std::fs;
use std::path::Path;

/// The class id of mask pixels that count in no loss and no metric: [`contract::IGNORE_INDEX`] as a byte.
pub const IGNORE: u8 = 255;

/// An image and what each of its pixels shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// `H×W×3` bytes: red, green, blue, row by row.
    pub image: Vec<u8>,
    /// `H×W` class ids, or [`IGNORE`].
    pub mask: Vec<u8>,
}

/// Samples to train on, to validate with or to predict. Loading must depend on nothing but the index.
pub trait Dataset: Send + Sync {
    /// How many samples there are.
    fn len(&self) -> u64;

    /// Whether there is no sample at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Height and width of every sample, in pixels.
    fn size(&self) -> [u32; 2];

    /// The name of a sample, for messages and for the files that predictions go to.
    fn name(&self, index: u64) -> String;

    /// A sample. An index that is not there is [`Error::Index`].
    fn load(&self, index: u64) -> Result<Sample, Error>;

    /// Only the mask of a sample, `H×W`. Sources that can say more about whether the sample is sound than the values
    /// of the mask (does its image have the same size?) do so here: it is what [`verify`](crate::verify) calls.
    fn mask(&self, index: u64) -> Result<Vec<u8>, Error> {
        self.load(index).map(|sample| sample.mask)
    }

    /// How large the sample's source is, in bytes: of a data set of files the sizes of the sample's files together, from
    /// the file system's records, without opening one. It is part of the [`fingerprint`](crate::fingerprint). Sources
    /// without files leave it at 0: what they give is all in the configuration.
    fn source_bytes(&self, _index: u64) -> Result<u64, Error> {
        Ok(0)
    }
}

/// Pixels of an image of `size`.
pub(crate) fn pixels([height, width]: [u32; 2]) -> usize {
    height as usize * width as usize
}

/// The length of the file at `path`, in bytes.
pub(crate) fn file_bytes(path: &Path) -> Result<u64, Error> {
    let about = fs::metadata(path).map_err(|source| Error::Io { path: path.into(), source })?;
    Ok(about.len())
}

/// The item at `index` of a data set's list.
pub(crate) fn item<T>(items: &[T], index: u64) -> Result<&T, Error> {
    let found = usize::try_from(index).ok().and_then(|index| items.get(index));
    found.ok_or(Error::Index { index, len: items.len() as u64 })
}
