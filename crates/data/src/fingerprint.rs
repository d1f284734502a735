//! What a data set is known by again, so that a run is never continued on other data without anybody noticing.

use crate::dataset::Dataset;
use crate::error::Error;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How many digits of the hash people are shown.
const SHOWN: usize = 12;

/// What a data set is known by: how many samples it has, and a hash over their names and the sizes of their sources.
///
/// It is of one split, and knows nothing of where the data lies or how large the samples are made: the folder may move,
/// and the rest is said by the configuration. A file that was replaced by another of the same size goes unnoticed: no
/// file is opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// How many samples there are.
    pub samples: u64,
    /// BLAKE3 over names and sizes, as 64 hexadecimal digits.
    pub hash: String,
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = if self.samples == 1 { "sample" } else { "samples" };
        write!(f, "{} {noun}, {:.SHOWN$}…", self.samples, self.hash)
    }
}

/// Asks every sample of `dataset`, in order, for its name and the size of its source: two looks at the file system for
/// a sample with two files, and no decoding. Fails with the error of the first sample whose source cannot be had.
///
/// The hash is over 64-bit little-endian numbers and UTF-8: how many samples there are; then for each the bytes of its
/// name, the name, and the bytes of [`Dataset::source`].
pub fn fingerprint(dataset: &dyn Dataset) -> Result<Fingerprint, Error> {
    let samples = dataset.len();
    let mut hasher = blake3::Hasher::new();
    hasher.update(&samples.to_le_bytes());
    for index in 0..samples {
        let name = dataset.name(index);
        // The length comes first, so that no two lists of names and sizes run together into the same bytes.
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
        hasher.update(&dataset.source(index)?.bytes.to_le_bytes());
    }
    Ok(Fingerprint { samples, hash: hasher.finalize().to_hex().to_string() })
}

#[cfg(test)]
mod tests;
