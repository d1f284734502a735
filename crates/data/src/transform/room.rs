//! Work buffers of transforms.

use crate::load::{Sample, pixels};
use crate::transform::resize::Scaler;

/// Work buffers of transforms, reused from sample to sample.
#[derive(Debug, Default)]
pub(crate) struct Room {
    /// Buffer for a changed sample, which then takes the place of the old one.
    pub(crate) spare: Sample,
    /// A few rows of an image, as floats.
    pub(super) rows: Vec<f32>,
    pub(super) scaler: Scaler,
}

/// Returns the bytes a pixel of a sample that is not empty.
pub(super) fn channels(sample: &Sample) -> usize {
    sample.image.len() / sample.mask.len().max(1)
}

/// Gives `spare` the dimensions of a sample of `size`, for the caller to overwrite every byte.
pub(super) fn reserve(spare: &mut Sample, size: [u32; 2], channels: usize) {
    spare.size = size;
    spare.image.resize(pixels(size) * channels, 0);
    spare.mask.resize(pixels(size), 0);
}
