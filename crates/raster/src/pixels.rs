//! The pixels of an image, in one of three depths, and the numbers they are made of, for code that works on any.

/// Kind of the numbers of an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
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

    /// Removes all numbers, and keeps the memory.
    pub fn clear(&mut self) {
        on_pixels!(self, numbers => numbers.clear());
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

    /// Returns the nearest number of this kind: whole numbers are rounded, halves away from 0, and kept within their
    /// range; NaN becomes 0. Floats stay as they are.
    fn from_f32(value: f32) -> Self;

    /// Returns the buffer of these numbers, if `pixels` holds them.
    fn of(pixels: &Pixels) -> Option<&[Self]>;

    /// Returns the buffer of these numbers, to overwrite. Pixels of another depth become these.
    fn buffer(pixels: &mut Pixels) -> &mut Vec<Self>;
}

macro_rules! element {
    ($kind:ty, $variant:ident, $from:expr) => {
        impl Element for $kind {
            fn to_f32(self) -> f32 {
                self.into()
            }

            fn from_f32(value: f32) -> Self {
                $from(value)
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

// A conversion by `as` keeps within the range, and takes NaN to 0.
element!(u8, U8, |value: f32| value.round() as u8);
element!(u16, U16, |value: f32| value.round() as u16);
element!(f32, F32, |value: f32| value);

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
