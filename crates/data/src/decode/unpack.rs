//! Unpacking of values with fewer than 8 bits.

use crate::dataset::pixels;

/// Unpacks rows of values of 1, 2 or 4 bits, the upper bits first. Each row begins with a byte of its own.
pub(super) fn unpack(packed: &[u8], bits: u8, size: [u32; 2], values: &mut Vec<u8>) {
    let (in_a_byte, mask, width) = (8 / bits, (1u8 << bits) - 1, size[1] as usize);
    values.clear();
    values.reserve(pixels(size));
    for row in packed.chunks_exact(width.div_ceil(in_a_byte.into()).max(1)) {
        let numbers = row.iter().flat_map(|byte| (1..=in_a_byte).map(move |place| byte >> (8 - place * bits) & mask));
        values.extend(numbers.take(width));
    }
}
