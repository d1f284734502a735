//! From samples to batches: the data sets, the processing of their samples, and the threads that load them.

pub(crate) mod config;
pub(crate) mod dataset;
mod ends;
pub(crate) mod files;
pub(crate) mod fingerprint;
pub(crate) mod image;
pub(crate) mod images;
pub(crate) mod loader;
pub(crate) mod ordered;
pub(crate) mod pipeline;
mod reader;
pub(crate) mod shapes;
pub(crate) mod skipped;

/// The class id of mask pixels that count in no loss and no metric: [`contract::IGNORE_INDEX`] as a byte.
pub const IGNORE: u8 = 255;

/// An image and the class of each of its pixels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sample {
    /// Height and width, in pixels.
    pub size: [u32; 2],
    /// `H×W×C` bytes, row by row: red, green and blue of each pixel, or its grey value.
    pub image: Vec<u8>,
    /// `H×W` class ids, or [`IGNORE`].
    pub mask: Vec<u8>,
}

/// Returns the number of pixels of an image of `size`.
pub(crate) fn pixels([height, width]: [u32; 2]) -> usize {
    height as usize * width as usize
}
