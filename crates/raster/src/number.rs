//! Kinds of numbers that files store.

use crate::pixels::Depth;
use std::fmt;

/// Kind of a stored number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Whole, from 0 on.
    Unsigned,
    /// Whole, with a sign.
    Signed,
    /// Floating-point.
    Float,
}

/// A number as the file stores it. It is displayed as `u12` or `f32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stored {
    /// Its kind.
    pub kind: Kind,
    /// Bits a number: 1 to 32 and 64 (unsigned), 8, 16, 32 and 64 (signed), 16, 32 and 64 (floats).
    pub bits: u8,
}

impl Stored {
    /// A byte.
    pub const U8: Self = Self { kind: Kind::Unsigned, bits: 8 };
    /// An unsigned number of 16 bits.
    pub const U16: Self = Self { kind: Kind::Unsigned, bits: 16 };

    /// Returns the smallest depth that holds every such number exactly, or `F32`, to which numbers of more than 24
    /// significant bits are rounded.
    pub fn depth(self) -> Depth {
        match (self.kind, self.bits) {
            (Kind::Unsigned, ..=8) => Depth::U8,
            (Kind::Unsigned, ..=16) => Depth::U16,
            _ => Depth::F32,
        }
    }

    /// Returns the number's form in memory; none for one that is not supported.
    pub(crate) fn cell(self) -> Option<Cell> {
        Some(match (self.kind, self.bits) {
            (Kind::Unsigned, 1..=8) => Cell::U8,
            (Kind::Unsigned, 9..=16) => Cell::U16,
            (Kind::Unsigned, 17..=32) => Cell::U32,
            (Kind::Unsigned, 64) => Cell::U64,
            (Kind::Signed, 8) => Cell::I8,
            (Kind::Signed, 16) => Cell::I16,
            (Kind::Signed, 32) => Cell::I32,
            (Kind::Signed, 64) => Cell::I64,
            (Kind::Float, 16) => Cell::F16,
            (Kind::Float, 32) => Cell::F32,
            (Kind::Float, 64) => Cell::F64,
            _ => return None,
        })
    }
}

impl fmt::Display for Stored {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Unsigned => 'u',
            Kind::Signed => 'i',
            Kind::Float => 'f',
        };
        write!(formatter, "{kind}{}", self.bits)
    }
}

/// Form of a number in a decoded block: whole bytes, in the order of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cell {
    U8,
    U16,
    U32,
    U64,
    I8,
    I16,
    I32,
    I64,
    F16,
    F32,
    F64,
}

impl Cell {
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 | Self::F16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    /// Writes `value` in this form, rounded and kept in range.
    pub(crate) fn encode(self, value: f64) -> Vec<u8> {
        match self {
            Self::U8 => (value as u8).to_ne_bytes().to_vec(),
            Self::U16 => (value as u16).to_ne_bytes().to_vec(),
            Self::U32 => (value as u32).to_ne_bytes().to_vec(),
            Self::U64 => (value as u64).to_ne_bytes().to_vec(),
            Self::I8 => (value as i8).to_ne_bytes().to_vec(),
            Self::I16 => (value as i16).to_ne_bytes().to_vec(),
            Self::I32 => (value as i32).to_ne_bytes().to_vec(),
            Self::I64 => (value as i64).to_ne_bytes().to_vec(),
            Self::F16 => of_f32(value as f32).to_ne_bytes().to_vec(),
            Self::F32 => (value as f32).to_ne_bytes().to_vec(),
            Self::F64 => value.to_ne_bytes().to_vec(),
        }
    }
}

/// Widens a half-precision float (IEEE 754 binary16), exactly; NaN keeps its payload.
pub(crate) fn half(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let (exponent, fraction) = (u32::from(bits >> 10 & 0x1f), u32::from(bits & 0x3ff));
    match exponent {
        0 => {
            let magnitude = fraction as f32 * 2.0_f32.powi(-24);
            f32::from_bits(magnitude.to_bits() | sign)
        }
        0x1f => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
    }
}

/// Narrows a number to half precision, towards 0: for the no-data value of a file of such floats, which is one.
fn of_f32(value: f32) -> u16 {
    (0..=0x7fff_u16)
        .rev()
        .find(|bits| half(*bits) <= value.abs())
        .map_or(0x7e00, |bits| bits | if value.is_sign_negative() { 0x8000 } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::{Cell, half, of_f32};

    #[test]
    fn halves_are_widened_exactly() {
        // IEEE 754-2019, table 3.5 and its examples.
        let known = [
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555_2e-5),
            (0x0400, 6.103_515_6e-5),
            (0x3555, 0.333_251_95),
            (0x3c00, 1.0),
            (0x7bff, 65_504.0),
            (0xc000, -2.0),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
        ];
        for (bits, value) in known {
            assert_eq!(half(bits), value, "{bits:#x}");
            assert_eq!(of_f32(value), bits);
        }
        assert_eq!(half(0x8000).to_bits(), 0x8000_0000);
        assert!(half(0x7e00).is_nan() && half(of_f32(f32::NAN)).is_nan());
    }

    #[test]
    fn a_cell_holds_the_number_it_is_given() {
        assert_eq!(Cell::I16.encode(-9999.0), (-9999_i16).to_ne_bytes());
        assert_eq!(Cell::U8.encode(300.0), [255]);
        assert_eq!(Cell::F32.encode(0.5), 0.5_f32.to_ne_bytes());
        assert_eq!(Cell::F64.encode(0.1).len(), Cell::F64.bytes());
    }
}
