//! An image that is predicted, and the rows of it that were predicted before.

use super::find::Picture;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Pixels from which rows are kept: an image of 4,096 × 4,096.
const LARGE: u64 = 1 << 24;

/// Number of rows that were predicted before, by the names of the images.
pub type Begun = BTreeMap<String, u32>;

/// Returns whether the rows of an image of this height and width are kept.
pub fn is_large([height, width]: [u32; 2]) -> bool {
    u64::from(height) * u64::from(width) >= LARGE
}

/// An image that is predicted.
pub struct Image {
    /// Name of the image.
    pub name: String,
    /// Path of the image.
    pub file: PathBuf,
    /// Height and width.
    pub size: [u32; 2],
}

impl Image {
    /// Describes `picture`, of this name.
    pub fn of(name: &str, picture: &Picture) -> Self {
        Self { name: name.into(), file: picture.file.clone(), size: picture.size }
    }
}
