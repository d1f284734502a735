//! Work buffers of transforms.

use crate::load::{Sample, Values, pixels};
use crate::transform::resize::Scaler;

/// Work buffers of transforms, reused from sample to sample, the form of the targets and the range of the images.
#[derive(Debug)]
pub(crate) struct Scratch {
    /// Buffer for a changed sample, which then takes the place of the old one.
    pub(crate) spare: Sample,
    /// Form of targets that are values.
    pub(crate) values: Values,
    /// The numbers that mean black and white.
    pub(crate) range: [f32; 2],
    /// The numbers that become 0 and 1 in the network's input, before a normalisation by constants.
    pub(crate) unit: [f32; 2],
    /// The number of pixels without content.
    pub(crate) black: f32,
    /// A few rows of an image, as floats.
    pub(super) rows: Vec<f32>,
    pub(super) scaler: Scaler,
}

impl Default for Scratch {
    fn default() -> Self {
        let (spare, values, rows, scaler) = Default::default();
        Self { spare, values, range: [0.0, 255.0], unit: [0.0, 255.0], black: 0.0, rows, scaler }
    }
}

/// Returns the numbers a pixel of a sample's image.
pub(super) fn channels(sample: &Sample) -> usize {
    sample.image.len() / pixels(sample.size).max(1)
}
