//! The pixels of an image, in one of three depths.

use crate::element::Element;

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
