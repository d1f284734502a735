//! Header of `.npy`, version 1 to 3: a Python dictionary of `descr`, `fortran_order` and `shape`.
//!
//! <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>

use crate::error::{Problem, damaged, refused};
use crate::number::{Cell, Kind, Stored};
use crate::source::Endian;

/// An array, as its header says.
#[derive(Debug)]
pub(super) struct Array {
    pub(super) shape: Vec<u64>,
    pub(super) fortran: bool,
    pub(super) stored: Stored,
    pub(super) cell: Cell,
    pub(super) endian: Endian,
    /// Bytes a number.
    pub(super) item: usize,
    /// Place of the first number.
    pub(super) at: u64,
}

impl Array {
    /// Returns the bytes from one element to the next along each axis.
    pub(super) fn strides(&self) -> Result<Vec<u64>, Problem> {
        let mut strides = vec![0; self.shape.len()];
        let mut step = Some(self.item as u64);
        let mut axes: Vec<usize> = (0..self.shape.len()).collect();
        if !self.fortran {
            axes.reverse();
        }
        for axis in axes {
            strides[axis] = step.unwrap_or(u64::MAX);
            step = step.and_then(|step| step.checked_mul(self.shape[axis]));
        }
        match step {
            Some(1..=0x7fff_ffff_ffff_ffff) => Ok(strides),
            Some(0) => refused(format!("is an array of shape {:?}, which holds no numbers", self.shape)),
            _ => damaged(format!("an array of shape {:?} is larger than any file", self.shape)),
        }
    }
}

/// Parses the header at the start of an array's bytes.
pub(super) fn parse(start: &[u8]) -> Result<Array, Problem> {
    let [b'\x93', b'N', b'U', b'M', b'P', b'Y', major, _, rest @ ..] = start else {
        return damaged("it does not begin with NumPy's magic number");
    };
    let (length, text) = match (major, rest) {
        (1, [a, b, text @ ..]) => (usize::from(u16::from_le_bytes([*a, *b])), text),
        (2 | 3, [a, b, c, d, text @ ..]) => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, text),
        (1..=3, _) => return damaged("it ends within its header"),
        _ => return refused(format!("is of version {major} of .npy, and 1 to 3 are read: save it with numpy.save")),
    };
    let Some(header) = text.get(..length).and_then(|header| std::str::from_utf8(header).ok()) else {
        return damaged(format!("its header of {length} bytes is cut off or is no text"));
    };
    let at = (start.len() - text.len() + length) as u64;
    let shown = || header.trim_end().chars().take(200).collect::<String>();
    let (Some(descr), Some(order), Some(shape)) =
        (value(header, "descr"), value(header, "fortran_order"), value(header, "shape"))
    else {
        return damaged(format!("its header lacks descr, fortran_order or shape: {}", shown()));
    };
    let fortran = match order {
        _ if order.starts_with("True") => true,
        _ if order.starts_with("False") => false,
        _ => return damaged(format!("its fortran_order is neither True nor False: {}", shown())),
    };
    let Some(shape) = numbers(shape) else { return damaged(format!("its shape is not one: {}", shown())) };
    let (stored, endian, item) = number(descr)?;
    let Some(cell) = cell(stored, item) else { return refused(format!("holds numbers of {stored}: {CAST}")) };
    Ok(Array { shape, fortran, stored, cell, endian, item, at })
}

const CAST: &str = "save it as one of bool, u1 to u8, i1 to i8, f2, f4 and f8 (array.astype)";

fn cell(stored: Stored, item: usize) -> Option<Cell> {
    stored.cell().filter(|cell| cell.bytes() == item)
}

/// Returns the text behind `'name':`.
fn value<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    let quoted = [format!("'{name}'"), format!("\"{name}\"")];
    let behind = quoted.iter().find_map(|name| header.split_once(name.as_str()))?.1;
    Some(behind.trim_start().strip_prefix(':')?.trim_start())
}

/// Parses a tuple of whole numbers.
fn numbers(text: &str) -> Option<Vec<u64>> {
    let inner = text.strip_prefix('(')?.split_once(')')?.0;
    let parts: Vec<&str> = inner.split(',').map(str::trim).collect();
    let (last, others) = parts.split_last()?;
    // `(3,)` ends in a comma, and `(3)` is a number in brackets, which NumPy never writes.
    let counted = if last.is_empty() { others } else { &parts };
    counted.iter().map(|part| part.trim_end_matches('L').parse().ok()).collect()
}

/// Parses a number's kind, byte order and bytes.
fn number(descr: &str) -> Result<(Stored, Endian, usize), Problem> {
    let quote = descr.chars().next().unwrap_or_default();
    let named = (quote == '\'' || quote == '"').then(|| descr[1..].split_once(quote)).flatten();
    let Some((name, _)) = named else {
        return refused("holds records of several fields: save one of them (array['name'])");
    };
    let other = || refused(format!("holds elements of the kind {name}: {CAST}"));
    let mut letters = name.chars();
    let endian = match letters.next() {
        Some('<') => Endian::Little,
        Some('>') => Endian::Big,
        Some('|') => Endian::Little,
        _ => return other(),
    };
    let kind = letters.next();
    let Ok(bytes @ (1 | 2 | 4 | 8)) = letters.as_str().parse::<u8>() else { return other() };
    let bits = 8 * bytes;
    let stored = match (kind, bytes) {
        (Some('b'), 1) => Stored { kind: Kind::Unsigned, bits: 1 },
        (Some('u'), _) => Stored { kind: Kind::Unsigned, bits },
        (Some('i'), _) => Stored { kind: Kind::Signed, bits },
        (Some('f'), 2 | 4 | 8) => Stored { kind: Kind::Float, bits },
        _ => return other(),
    };
    Ok((stored, endian, bytes.into()))
}

#[cfg(test)]
mod tests {
    use super::{Endian, parse};
    use crate::error::Problem;

    fn bytes(header: &str) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\0".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes
    }

    #[test]
    fn headers_are_read_whatever_their_order_and_quotes() {
        let array = parse(&bytes("{'descr': '>i2', 'fortran_order': True, 'shape': (3, 4, 5), }\n")).unwrap();
        assert_eq!(
            (array.shape.as_slice(), array.fortran, array.endian, array.item),
            (&[3, 4, 5][..], true, Endian::Big, 2)
        );
        assert_eq!(array.strides().unwrap(), [2, 6, 24]);
        let array = parse(&bytes("{\"shape\":(7,),\"descr\":\"|b1\",\"fortran_order\":False}")).unwrap();
        assert_eq!((array.shape.as_slice(), array.stored.to_string().as_str()), (&[7][..], "u1"));
        assert_eq!(parse(&bytes("{'descr': '<f8', 'fortran_order': False, 'shape': ()}")).unwrap().shape, [0; 0]);
    }

    #[test]
    fn a_header_that_is_not_one_is_named() {
        let cases = [
            ("{'descr': '<c8', 'fortran_order': False, 'shape': (2, 2)}", "kind <c8"),
            ("{'descr': '<U3', 'fortran_order': False, 'shape': (2, 2)}", "kind <U3"),
            ("{'descr': '|O', 'fortran_order': False, 'shape': (2, 2)}", "kind |O"),
            ("{'descr': [('a', '<i4')], 'fortran_order': False, 'shape': (2, 2)}", "several fields"),
            ("{'descr': '<i4', 'fortran_order': 0, 'shape': (2, 2)}", "neither True nor False"),
            ("{'descr': '<i4', 'fortran_order': False, 'shape': (-2, 2)}", "shape is not one"),
            ("{'descr': '<i4', 'fortran_order': False}", "lacks descr"),
            ("", "lacks descr"),
        ];
        for (header, expected) in cases {
            let (Problem::Damaged(said) | Problem::Refused(said)) = parse(&bytes(header)).unwrap_err() else {
                panic!()
            };
            assert!(said.contains(expected), "{said}");
        }
        for short in 0..11 {
            assert!(parse(&bytes("{'descr'")[..short]).is_err());
        }
        let huge = "{'descr': '<f8', 'fortran_order': False, 'shape': (4294967295, 4294967295, 9)}";
        assert!(parse(&bytes(huge)).unwrap().strides().is_err());
    }
}
