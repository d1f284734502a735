//! Fingerprints of data sets, so that no run is silently continued on other data.

use crate::dataset::Dataset;
use crate::error::Error;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Number of hash digits in messages.
const SHOWN: usize = 12;

/// Identity of a data set: its number of samples, and a hash over their names and the sizes of their sources.
///
/// It covers one split and ignores the location of the data and the size of the samples: the folder may move, and the
/// configuration records the rest. Replacing a file by another of the same size goes unnoticed, since no file is
/// opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Number of samples.
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

/// Computes the fingerprint of `dataset` from the name of every sample and the size of its source. Looks up two files
/// for a sample of image and mask, and decodes nothing.
///
/// The hash is over 64-bit little-endian numbers and UTF-8: the number of samples; then for each the length of its name
/// in bytes, the name, and the bytes of [`Dataset::source`].
///
/// # Errors
///
/// The error of the first sample whose source is not available.
pub fn fingerprint(dataset: &dyn Dataset) -> Result<Fingerprint, Error> {
    let samples = dataset.len();
    let mut hasher = blake3::Hasher::new();
    hasher.update(&samples.to_le_bytes());
    for index in 0..samples {
        let name = dataset.name(index);
        // The length comes first, so that no two lists of names and sizes encode to the same bytes.
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
        hasher.update(&dataset.source(index)?.bytes.to_le_bytes());
    }
    Ok(Fingerprint { samples, hash: hasher.finalize().to_hex().to_string() })
}

#[cfg(test)]
mod tests;
