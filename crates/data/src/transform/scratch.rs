//! Work buffers of transforms.

use crate::load::{Sample, Values, pixels};
use crate::transform::resize::Scaler;

/// Work buffers of transforms, reused from sample to sample, and the form of the targets.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// Buffer for a changed sample, which then takes the place of the old one.
    pub(crate) spare: Sample,
    /// Form of targets that are values.
    pub(crate) values: Values,
    /// A few rows of an image, as floats.
    pub(super) rows: Vec<f32>,
    pub(super) scaler: Scaler,
}

/// Returns the bytes a pixel of a sample's image.
pub(super) fn channels(sample: &Sample) -> usize {
    sample.image.len() / pixels(sample.size).max(1)
}
