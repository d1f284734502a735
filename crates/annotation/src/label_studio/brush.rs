//! Label Studio's run lengths of brushes: a bit stream over RGBA values (`rle-pack` of thi.ng/umbrella).
//!
//! It begins with the number of values (32 bits), the bits of a value less 1 (5), and four widths of counts less 1
//! (4 each). Then follow blocks: a bit that tells a run from single values, the width of its count (2 bits), the count
//! less 1, and the value or the values.

use crate::patch::Size;
use crate::rle::RleError;

/// Decodes the mask: true where alpha is not 0.
///
/// # Errors
///
/// [`RleError`] if the stream is cut off, or made for another size.
pub(super) fn decode(stream: &[u8], size: Size) -> Result<Vec<bool>, RleError> {
    let mut bits = Bits { stream, at: 0 };
    let header = bits.take(32).ok_or(RleError::Truncated(0))?;
    let (found, expected) = (u64::from(header), 4 * size.pixels() as u64);
    if found != expected {
        return Err(RleError::Total { found, expected });
    }
    let word = bits.take(5).ok_or(RleError::Truncated(0))? + 1;
    let mut widths = [0; 4];
    for width in &mut widths {
        *width = bits.take(4).ok_or(RleError::Truncated(0))? + 1;
    }
    let mut mask = vec![false; size.pixels()];
    let mut at = 0_u64;
    while at < expected {
        let truncated = RleError::Truncated(at);
        let run = bits.take(1).ok_or(truncated)? == 1;
        let width = bits.take(2).ok_or(truncated)? as usize;
        let end = at + u64::from(bits.take(widths[width]).ok_or(truncated)?) + 1;
        if end > expected {
            return Err(RleError::Total { found: end, expected });
        }
        if run {
            if bits.take(word).ok_or(truncated)? != 0 {
                // Alpha is the last of each four values.
                mask[(at / 4) as usize..(end / 4) as usize].fill(true);
            }
        } else {
            for value in at..end {
                let set = bits.take(word).ok_or(RleError::Truncated(value))? != 0;
                if set && value % 4 == 3 {
                    mask[(value / 4) as usize] = true;
                }
            }
        }
        at = end;
    }
    Ok(mask)
}

/// Bits from the highest of each byte on.
struct Bits<'a> {
    stream: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    /// Returns the next bits as a number, up to 32, or `None` behind the end.
    fn take(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.stream.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }
}
