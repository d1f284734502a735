//! The numbers of an image, for code that works on any of them.

use crate::pixels::Pixels;

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
