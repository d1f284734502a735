//! An image as its format's module hands it over.

use crate::cache::Blocks;
use crate::info::Info;
use crate::window::Grid;

/// Facts of an image, and the decoder of its blocks.
pub(crate) struct Opened {
    pub(crate) info: Info,
    pub(crate) grid: Grid,
    pub(crate) decoder: Box<dyn Blocks>,
}
