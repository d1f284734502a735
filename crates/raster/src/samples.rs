//! From the bytes of TIFF and PNG to numbers: predictors, packed bits, palettes.

use crate::source::Endian;

/// Undoes predictor 2: each number is the difference to the one `step` before it in its row. The numbers are in this
/// machine's order.
pub(crate) fn add_up(row: &mut [u8], bytes: usize, step: usize) {
    fn sums<const N: usize>(row: &mut [u8], step: usize, add: impl Fn([u8; N], [u8; N]) -> [u8; N]) {
        let numbers = row.as_chunks_mut::<N>().0;
        for at in step..numbers.len() {
            numbers[at] = add(numbers[at], numbers[at - step]);
        }
    }
    match bytes {
        1 => sums(row, step, |[a], [b]| [a.wrapping_add(b)]),
        2 => sums(row, step, |a, b| u16::from_ne_bytes(a).wrapping_add(u16::from_ne_bytes(b)).to_ne_bytes()),
        4 => sums(row, step, |a, b| u32::from_ne_bytes(a).wrapping_add(u32::from_ne_bytes(b)).to_ne_bytes()),
        _ => sums(row, step, |a, b| u64::from_ne_bytes(a).wrapping_add(u64::from_ne_bytes(b)).to_ne_bytes()),
    }
}

/// Undoes predictor 3 (Adobe Photoshop TIFF technical note 3): differences of bytes, the highest byte of all numbers
/// first. The numbers come out in this machine's order.
pub(crate) fn join_floats(row: &mut [u8], bytes: usize, step: usize, scratch: &mut Vec<u8>) {
    add_up(row, 1, step);
    scratch.clear();
    scratch.extend_from_slice(row);
    let count = row.len() / bytes;
    for (index, number) in row.chunks_exact_mut(bytes).enumerate() {
        for (place, byte) in number.iter_mut().enumerate() {
            *byte = scratch[place * count + index];
        }
    }
    Endian::Big.to_native(row, bytes);
}

/// Appends the numbers of `bits` bits (up to 32) of `rows` rows of `count`, highest bit first, each row in whole bytes.
/// They become 1, 2 or 4 bytes.
pub(crate) fn unpack(packed: &[u8], bits: u8, count: usize, rows: usize, into: &mut Vec<u8>) {
    let line = (count * usize::from(bits)).div_ceil(8);
    let mask = u64::MAX >> (64 - u32::from(bits));
    for row in packed.chunks_exact(line.max(1)).take(rows) {
        let (mut held, mut buffer, mut bytes) = (0_u8, 0_u64, row.iter());
        for _ in 0..count {
            while held < bits {
                buffer = buffer << 8 | u64::from(bytes.next().copied().unwrap_or_default());
                held += 8;
            }
            held -= bits;
            let number = buffer >> held & mask;
            match bits {
                ..=8 => into.push(number as u8),
                ..=16 => into.extend((number as u16).to_ne_bytes()),
                _ => into.extend((number as u32).to_ne_bytes()),
            }
        }
    }
}

/// Appends the colour of each index. Returns an index that the palette lacks.
pub(crate) fn expand(indexes: &[u8], colors: &[u8], bands: usize, into: &mut Vec<u8>) -> Option<u8> {
    into.reserve(indexes.len() * bands);
    for index in indexes {
        let Some(color) = colors.get(usize::from(*index) * bands..).and_then(|rest| rest.get(..bands)) else {
            return Some(*index);
        };
        into.extend_from_slice(color);
    }
    None
}

/// Turns numbers of 1, 2 or 4 bytes over: the largest of `bits` bits becomes 0.
pub(crate) fn invert(numbers: &mut [u8], bits: u8, bytes: usize) {
    let mask = u64::MAX >> (64 - u32::from(bits));
    let masks: [u8; 8] = match bytes {
        1 => [mask as u8; 8],
        2 => std::array::from_fn(|at| (mask as u16).to_ne_bytes()[at % 2]),
        4 => std::array::from_fn(|at| (mask as u32).to_ne_bytes()[at % 4]),
        _ => mask.to_ne_bytes(),
    };
    numbers.iter_mut().enumerate().for_each(|(at, byte)| *byte ^= masks[at % 8]);
}

#[cfg(test)]
mod tests {
    use super::{add_up, invert, join_floats, unpack};

    #[test]
    fn packed_numbers_begin_with_the_highest_bit() {
        let of = |packed: &[u8], bits, count, rows| {
            let mut numbers = Vec::new();
            unpack(packed, bits, count, rows, &mut numbers);
            numbers
        };
        assert_eq!(of(&[0b1010_0000, 0b0100_0000], 1, 3, 2), [1, 0, 1, 0, 1, 0]);
        assert_eq!(of(&[0x12, 0x34], 4, 3, 1), [1, 2, 3]);
        let wide: Vec<u8> = [0x123_u16, 0x456].iter().flat_map(|number| number.to_ne_bytes()).collect();
        assert_eq!(of(&[0x12, 0x34, 0x56], 12, 2, 1), wide);
        assert_eq!(of(&[0x12, 0x34, 0x56], 24, 1, 1), 0x12_3456_u32.to_ne_bytes());
    }

    #[test]
    fn predictors_are_undone() {
        let mut row: Vec<u8> = [1000_u16, 1, 65_535, 2].iter().flat_map(|number| number.to_ne_bytes()).collect();
        add_up(&mut row, 2, 2);
        let expected: Vec<u8> = [1000_u16, 1, 999, 3].iter().flat_map(|number| number.to_ne_bytes()).collect();
        assert_eq!(row, expected);
        // 1.0 and -2.0 are 3f80_0000 and c000_0000: the bytes 3f c0 80 00 00 00 00 00, and their differences.
        let mut row = [0x3f, 0x81, 0xc0, 0x80, 0, 0, 0, 0];
        join_floats(&mut row, 4, 1, &mut Vec::new());
        let expected: Vec<u8> = [1.0_f32, -2.0].iter().flat_map(|number| number.to_ne_bytes()).collect();
        assert_eq!(row, expected[..]);
    }

    #[test]
    fn white_becomes_the_largest() {
        let mut numbers = [0, 15, 3];
        invert(&mut numbers, 4, 1);
        assert_eq!(numbers, [15, 0, 12]);
        let mut numbers: Vec<u8> = [0_u16, 4095].iter().flat_map(|number| number.to_ne_bytes()).collect();
        invert(&mut numbers, 12, 2);
        assert_eq!(numbers, [4095_u16, 0].iter().flat_map(|number| number.to_ne_bytes()).collect::<Vec<_>>());
    }
}
