//! Facts of an image that its header tells.

use crate::geo::Geo;
use crate::number::Stored;
use crate::pixels::Depth;

/// Meaning of the first bands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Colors {
    /// Numbers, or brightness.
    Plain,
    /// Red, green and blue, then others.
    Rgb,
    /// Cyan, magenta, yellow and black, as amounts of ink.
    Cmyk,
}

/// Facts of an open image.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Info {
    /// Name of the format, for messages: `TIFF`, `PNG`, `npy`, `npz` or `NIfTI`.
    pub format: &'static str,
    /// Height and width.
    pub size: [u32; 2],
    /// Number of bands.
    pub bands: u32,
    /// Kind of the stored numbers.
    pub stored: Stored,
    /// Smallest depth that holds the numbers exactly; `F32` also for those of more than 24 significant bits, which are
    /// rounded to the nearest.
    pub depth: Depth,
    /// Value of pixels without data, which may be NaN.
    pub no_data: Option<f64>,
    /// Rows and columns that are decoded together: windows along these read fastest.
    pub block: [u32; 2],
    /// Number of pages of a TIFF, without smaller copies and masks; of slices along the chosen axis of a volume; else
    /// 1.
    pub pages: u32,
    /// Meaning of the first bands.
    pub colors: Colors,
    /// Band (0-based) that says how opaque a pixel is.
    pub alpha: Option<u32>,
    /// EXIF orientation that a TIFF declares, 1 to 8, which is not applied here.
    pub orientation: u8,
    /// Place on earth.
    pub geo: Option<Geo>,
}

impl Info {
    /// Describes an image of numbers that mean nothing further.
    pub(crate) fn plain(format: &'static str, size: [u32; 2], bands: u32, stored: Stored) -> Self {
        Self {
            format,
            size,
            bands,
            stored,
            depth: stored.depth(),
            no_data: None,
            block: size,
            pages: 1,
            colors: Colors::Plain,
            alpha: None,
            orientation: 1,
            geo: None,
        }
    }
}
