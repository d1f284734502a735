//! Turns images upright: a photograph is stored as the sensor lies in the camera, with a tag that says how to turn it.

use crate::load::pixels;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::mem::swap;

/// Handling of the orientation noted in an image file (EXIF in JPEG, PNG and WebP; tag 274 of a TIFF).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Orientation {
    /// Turns the image upright, as viewers do. A mask is turned only by its own tag.
    #[default]
    Apply,
    /// Leaves the pixels as stored.
    Ignore,
}

/// The turn of stored pixels, as one of EXIF's orientation values 1 to 8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn(u8);

/// Height and width of the squares in which pixels are moved, so that both rows and columns stay in the cache.
const SQUARE: usize = 32;

impl Turn {
    /// Leaves pixels where they are.
    pub(crate) const NONE: Self = Self(1);

    /// Returns the turn for EXIF's orientation `value`; invalid values turn nothing.
    pub(crate) fn of(value: u16) -> Self {
        u8::try_from(value).ok().filter(|value| (1..=8).contains(value)).map_or(Self::NONE, Self)
    }

    /// Returns this turn if `orientation` applies it, else none.
    pub(crate) fn wanted(self, orientation: Orientation) -> Self {
        if orientation == Orientation::Apply { self } else { Self::NONE }
    }

    /// Returns height and width after the turn.
    pub(crate) fn size(self, [height, width]: [u32; 2]) -> [u32; 2] {
        if self.swaps_sides() { [width, height] } else { [height, width] }
    }

    fn swaps_sides(self) -> bool {
        self.0 >= 5
    }

    /// Turns pixels of `channels` bytes (3 or 1) and returns their height and width. The content of `spare` is
    /// unspecified afterwards.
    pub(crate) fn apply(self, image: &mut Vec<u8>, size: [u32; 2], channels: u32, spare: &mut Vec<u8>) -> [u32; 2] {
        if self != Self::NONE {
            spare.resize(pixels(size) * channels as usize, 0);
            match channels {
                1 => self.moved::<1>(image, size, spare),
                _ => self.moved::<3>(image, size, spare),
            }
            swap(image, spare);
        }
        self.size(size)
    }

    /// Turns pixels of any number of numbers.
    pub(crate) fn apply_to<T: Copy>(self, image: &mut Vec<T>, size: [u32; 2], channels: usize) {
        if self != Self::NONE && channels > 0 {
            let mut turned = image.clone();
            self.each(size, |from, to| {
                turned[to * channels..][..channels].copy_from_slice(&image[from * channels..][..channels]);
            });
            *image = turned;
        }
    }

    fn moved<const N: usize>(self, from: &[u8], size: [u32; 2], to: &mut [u8]) {
        let (from, to) = (from.as_chunks::<N>().0, to.as_chunks_mut::<N>().0);
        self.each(size, |from_pixel, to_pixel| to[to_pixel] = from[from_pixel]);
    }

    /// Calls `copy` with the place of each pixel and its place after the turn.
    #[inline(always)]
    fn each(self, size: [u32; 2], mut copy: impl FnMut(usize, usize)) {
        let [height, width] = size.map(|side| side as usize);
        let [rows, columns] = self.size(size).map(|side| side as usize);
        // True if the stored image is read from its last row, and from its last column.
        let (upwards, leftwards) = (matches!(self.0, 3 | 4 | 6 | 7), matches!(self.0, 2 | 3 | 7 | 8));
        for top in (0..rows).step_by(SQUARE) {
            for left in (0..columns).step_by(SQUARE) {
                for row in top..rows.min(top + SQUARE) {
                    for column in left..columns.min(left + SQUARE) {
                        let (y, x) = if self.swaps_sides() { (column, row) } else { (row, column) };
                        let y = if upwards { height - 1 - y } else { y };
                        let x = if leftwards { width - 1 - x } else { x };
                        copy(y * width + x, row * columns + column);
                    }
                }
            }
        }
    }
}
