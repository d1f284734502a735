//! An image to predict: a file, or pixels in memory.

use crate::decode::header::dimensions;
use crate::decode::turn::Orientation;
use crate::error::Error;
use crate::load::layout::Layout;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An image without a mask: a file, or pixels in memory. A clone shares the pixels.
#[derive(Debug, Clone)]
pub struct Image(Content);

/// Place of the image's pixels.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// In a file.
    File(PathBuf),
    /// In memory.
    Pixels(InMemory),
}

/// Pixels in memory, `H×W×channels` bytes.
#[derive(Clone)]
pub(crate) struct InMemory {
    /// Height and width.
    pub(crate) size: [u32; 2],
    /// 1 grey, 2 grey and alpha, 3 RGB or 4 RGBA.
    pub(crate) channels: u8,
    pub(crate) bytes: Arc<[u8]>,
}

impl Image {
    /// Names the image file at `path`. It is read when it is loaded.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Content::File(path.into()))
    }

    /// Takes pixels of the shape `[H, W, C]`, row by row, upright: 1 channel is grey, 2 are grey and alpha, 3 RGB,
    /// 4 RGBA. Transparency is dropped, as for files.
    ///
    /// # Errors
    ///
    /// [`Error::Pixels`] if the bytes are not `H·W·C`, or a side or the channels are 0 or too many.
    pub fn pixels([height, width, channels]: [u32; 3], bytes: impl Into<Arc<[u8]>>) -> Result<Self, Error> {
        let (bytes, shape) = (bytes.into(), [height, width, channels]);
        let refused = |found| Error::Pixels { shape, found };
        let expected = shape.iter().try_fold(1usize, |product, side| product.checked_mul(*side as usize));
        let channels = u8::try_from(channels).ok().filter(|channels| (1..=4).contains(channels));
        match channels {
            Some(channels) if expected == Some(bytes.len()) && !bytes.is_empty() => {
                Ok(Self(Content::Pixels(InMemory { size: [height, width], channels, bytes })))
            }
            _ => Err(refused(bytes.len())),
        }
    }

    /// Returns height and width, of a file from its header, for a network that sees pixels of this `layout`.
    ///
    /// # Errors
    ///
    /// Fails if the file is no image that can be read.
    pub fn size(&self, layout: &Layout, orientation: Orientation) -> Result<[u32; 2], Error> {
        match &self.0 {
            Content::File(path) => dimensions(path, layout, orientation),
            Content::Pixels(pixels) => Ok(pixels.size),
        }
    }

    pub(crate) fn content(&self) -> &Content {
        &self.0
    }
}

/// The path of a file; the size of pixels in memory.
impl fmt::Display for Image {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match &self.0 {
            Content::File(path) => path.display().fmt(formatter),
            Content::Pixels(InMemory { size: [height, width], .. }) => write!(formatter, "{height}x{width} pixels"),
        }
    }
}

impl fmt::Debug for InMemory {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.debug_struct("Pixels").field("size", &self.size).field("channels", &self.channels).finish()
    }
}

impl From<&Self> for Image {
    fn from(image: &Self) -> Self {
        image.clone()
    }
}

impl From<PathBuf> for Image {
    fn from(path: PathBuf) -> Self {
        Self::file(path)
    }
}

impl From<&PathBuf> for Image {
    fn from(path: &PathBuf) -> Self {
        Self::file(path)
    }
}

impl From<&Path> for Image {
    fn from(path: &Path) -> Self {
        Self::file(path)
    }
}

impl From<&str> for Image {
    fn from(path: &str) -> Self {
        Self::file(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_image_of_their_shape_are_refused() {
        for shape in [[2, 3, 1], [2, 1, 3], [1, 6, 1], [3, 2, 1]] {
            Image::pixels(shape, [0; 6]).unwrap();
        }
        for shape in [[2, 3, 3], [2, 2, 1], [0, 6, 1], [6, 1, 0], [1, 1, 6], [u32::MAX; 3]] {
            let error = Image::pixels(shape, [0; 6]).unwrap_err().to_string();
            assert!(error.contains("6 bytes") && error.contains("row by row"), "{error}");
        }
        let none = Image::pixels([0, 0, 3], []).unwrap_err().to_string();
        assert!(none.contains("0 bytes"), "{none}");
    }
}
