//! Index of where the classes of a data set are, as crops and the sampler use it.

use crate::error::Error;

/// Pixels of a class in a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Present {
    /// Id of the class.
    pub class: u8,
    /// Number of its pixels.
    pub pixels: u64,
    /// Number of those whose positions are listed, at least 1.
    pub listed: u32,
}

/// Counts the pixels of each id.
pub(crate) fn counts(ids: &[u8]) -> [u64; 256] {
    let mut counts = [0; 256];
    ids.iter().for_each(|id| counts[usize::from(*id)] += 1);
    counts
}

/// Index of where the classes of a data set are, in samples of the size that [`Dataset::load`](crate::Dataset::load)
/// gives them.
pub trait ClassIndex: Send + Sync {
    /// Returns the classes that a sample shows, by id; none for a sample that cannot be loaded.
    fn present(&self, index: u64) -> &[Present];

    /// Returns row and column of a listed pixel of a class, counted from 0 in the order of the rows; `None` if there is
    /// no such pixel.
    ///
    /// # Errors
    ///
    /// Fails if the index is damaged and the sample cannot be loaded either.
    fn pixel(&self, index: u64, class: u8, place: u32) -> Result<Option<[u32; 2]>, Error>;
}
