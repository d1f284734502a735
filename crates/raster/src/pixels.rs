//! The pixels of an image, in one of three depths, and the numbers they are made of, for code that works on any.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::TryReserveError;

/// Bytes of a buffer that are kept for the next image: more than most photographs need.
const MOST_KEPT: usize = 128 << 20;

/// Kind of the numbers of an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Depth {
    /// Bytes, 0 to 255.
    #[default]
    U8,
    /// 16-bit numbers, 0 to 65,535.
    U16,
    /// Floats of 32 bits.
    F32,
}

impl Depth {
    /// Returns the bytes a number.
    pub fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::U16 => 2,
            Self::F32 => 4,
        }
    }
}

/// Numbers of an image, `H×W×C`: row by row, the bands of a pixel side by side.
#[derive(Debug, Clone, PartialEq)]
pub enum Pixels {
    /// Bytes.
    U8(Vec<u8>),
    /// 16-bit numbers.
    U16(Vec<u16>),
    /// Floats.
    F32(Vec<f32>),
}

impl Default for Pixels {
    fn default() -> Self {
        Self::U8(Vec::new())
    }
}

/// Runs the same code on the buffer of any depth.
///
/// ```
/// let pixels = raster::Pixels::U16(vec![1, 2, 3]);
/// assert_eq!(raster::on_pixels!(&pixels, numbers => numbers.len()), 3);
/// ```
#[macro_export]
macro_rules! on_pixels {
    ($pixels:expr, $numbers:ident => $run:expr) => {
        match $pixels {
            $crate::Pixels::U8($numbers) => $run,
            $crate::Pixels::U16($numbers) => $run,
            $crate::Pixels::F32($numbers) => $run,
        }
    };
}

impl Pixels {
    /// Creates an empty buffer.
    pub fn new(depth: Depth) -> Self {
        match depth {
            Depth::U8 => Self::U8(Vec::new()),
            Depth::U16 => Self::U16(Vec::new()),
            Depth::F32 => Self::F32(Vec::new()),
        }
    }

    /// Returns the kind of the numbers.
    pub fn depth(&self) -> Depth {
        match self {
            Self::U8(_) => Depth::U8,
            Self::U16(_) => Depth::U16,
            Self::F32(_) => Depth::F32,
        }
    }

    /// Returns the number of numbers.
    pub fn len(&self) -> usize {
        on_pixels!(self, numbers => numbers.len())
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the bytes; none where the numbers are of another kind.
    pub fn bytes(&self) -> &[u8] {
        u8::of(self).unwrap_or_default()
    }

    /// Returns the buffer of bytes, to overwrite. Numbers of another kind become bytes.
    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        u8::buffer(self)
    }

    /// Takes over the numbers of `other`, reusing the buffer.
    pub fn copy_from(&mut self, other: &Self) {
        self.clear();
        self.append(other);
    }

    /// Appends numbers. Those of another kind take the place of all that is there.
    pub fn append(&mut self, other: &Self) {
        on_pixels!(other, numbers => Element::buffer(self).extend_from_slice(numbers));
    }

    /// Returns the numbers as little-endian bytes.
    pub fn into_le_bytes(self) -> Vec<u8> {
        match self {
            Self::U8(bytes) => bytes,
            Self::U16(numbers) => numbers.into_iter().flat_map(u16::to_le_bytes).collect(),
            Self::F32(numbers) => numbers.into_iter().flat_map(f32::to_le_bytes).collect(),
        }
    }

    /// Becomes `count` numbers of a depth, whose little-endian bytes `read` writes. Returns what `read` returns; after
    /// `false` the numbers are unspecified.
    pub fn fill_le_bytes(&mut self, depth: Depth, count: usize, read: impl FnOnce(&mut [u8]) -> bool) -> bool {
        if depth == Depth::U8 {
            let bytes = self.bytes_mut();
            bytes.resize(count, 0);
            return read(bytes);
        }
        let mut bytes = vec![0; count * depth.bytes()];
        let is_read = read(&mut bytes);
        match depth {
            Depth::U8 => {}
            Depth::U16 => refill(self, bytes.as_chunks().0.iter().map(|bytes| u16::from_le_bytes(*bytes))),
            Depth::F32 => refill(self, bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes))),
        }
        is_read
    }

    /// Becomes `count` times the number of its kind that is nearest to `value`.
    pub fn fill(&mut self, count: usize, value: f32) {
        on_pixels!(self, numbers => {
            numbers.clear();
            numbers.resize(count, Element::from_f32(value));
        });
    }

    /// Reserves memory for `additional` more numbers.
    ///
    /// # Errors
    ///
    /// Fails where there is not that much.
    pub fn try_reserve(&mut self, additional: usize) -> Result<(), TryReserveError> {
        on_pixels!(self, numbers => numbers.try_reserve(additional))
    }

    /// Frees the memory of a buffer that one unusually large image has left behind.
    pub fn trim(&mut self) {
        let bytes = on_pixels!(self, numbers => numbers.capacity()) * self.depth().bytes();
        if bytes > MOST_KEPT {
            *self = Self::new(self.depth());
        }
    }

    /// Removes all numbers, and keeps the memory.
    pub fn clear(&mut self) {
        on_pixels!(self, numbers => numbers.clear());
    }
}

fn refill<T: Element>(pixels: &mut Pixels, numbers: impl Iterator<Item = T>) {
    let buffer = T::buffer(pixels);
    buffer.clear();
    buffer.extend(numbers);
}

impl<T: Element> FromIterator<T> for Pixels {
    fn from_iter<I: IntoIterator<Item = T>>(numbers: I) -> Self {
        numbers.into_iter().collect::<Vec<T>>().into()
    }
}

impl<T: Element> From<Vec<T>> for Pixels {
    fn from(numbers: Vec<T>) -> Self {
        let mut pixels = Self::default();
        *T::buffer(&mut pixels) = numbers;
        pixels
    }
}

/// A number of an image: a byte, a 16-bit number or a float.
///
/// Calculations are made in `f32`, which holds all of the three exactly, and rounded once at their end.
pub trait Element: Copy + Default + PartialEq + PartialOrd + Send + Sync + 'static {
    /// Returns the number, exactly.
    fn to_f32(self) -> f32;

    /// Added before [`truncate`](Self::truncate) to round: 1/2 for whole numbers, 0 for floats.
    const HALF: f32;

    /// Returns the whole number below, kept within the range of its kind, and 0 for NaN. Floats stay as they are.
    fn truncate(value: f32) -> Self;

    /// Returns the nearest number of this kind: whole numbers are rounded, halves up, and kept within their range; NaN
    /// becomes 0. Floats stay as they are.
    fn from_f32(value: f32) -> Self {
        Self::truncate(value + Self::HALF)
    }

    /// Returns the buffer of these numbers, if `pixels` holds them.
    fn of(pixels: &Pixels) -> Option<&[Self]>;

    /// Returns the buffer of these numbers, to overwrite. Pixels of another depth become these.
    fn buffer(pixels: &mut Pixels) -> &mut Vec<Self>;
}

macro_rules! element {
    ($kind:ty, $variant:ident, $half:expr) => {
        impl Element for $kind {
            fn to_f32(self) -> f32 {
                self.into()
            }

            const HALF: f32 = $half;

            fn truncate(value: f32) -> Self {
                // Keeps within the range, and takes NaN to 0.
                value as $kind
            }

            fn of(pixels: &Pixels) -> Option<&[Self]> {
                if let Pixels::$variant(numbers) = pixels { Some(numbers) } else { None }
            }

            fn buffer(pixels: &mut Pixels) -> &mut Vec<Self> {
                match pixels {
                    Pixels::$variant(numbers) => numbers,
                    other => {
                        *other = Pixels::$variant(Vec::new());
                        Self::buffer(other)
                    }
                }
            }
        }
    };
}

element!(u8, U8, 0.5);
element!(u16, U16, 0.5);
element!(f32, F32, 0.0);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_and_kept_within_their_range() {
        let of = |value| (u8::from_f32(value), u16::from_f32(value), f32::from_f32(value));
        assert_eq!(of(2.5), (3, 3, 2.5));
        assert_eq!(of(-1.0), (0, 0, -1.0));
        assert_eq!(of(70_000.4), (255, 65_535, 70_000.4));
        assert_eq!((u8::from_f32(f32::NAN), u16::from_f32(f32::NAN)), (0, 0));
        assert_eq!((0..=u16::MAX).find(|value| u16::from_f32(value.to_f32()) != *value), None);
    }
}
