//! COCO's run lengths: column by column, beginning with the pixels that are not set.

use crate::patch::{Patch, Size};

/// Mask as run lengths in COCO's order: down the columns, runs of 0 and 1 in turn, the first of 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rle {
    size: Size,
    counts: Vec<u32>,
}

/// Reason why run lengths are no mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RleError {
    /// The runs do not add up to the image.
    #[error("the runs have {found} pixels and the image {expected}")]
    Total {
        /// Sum of the runs.
        found: u64,
        /// Pixels of the image.
        expected: u64,
    },
    /// A character that the compressed form does not have.
    #[error("byte {byte} at position {at} is none of the characters 0 to o")]
    Character {
        /// Its code.
        byte: u8,
        /// Its position, from 0.
        at: usize,
    },
    /// A number that ends in its middle, or has too many digits.
    #[error("run {run} is cut off or too long")]
    Number {
        /// Its position, from 0.
        run: usize,
    },
    /// A run below 0 or above what an image can have.
    #[error("run {run} has {value} pixels")]
    Value {
        /// Its position, from 0.
        run: usize,
        /// Its length.
        value: i64,
    },
    /// A bit stream that ends early.
    #[error("the bit stream ends after {0} values")]
    Truncated(u64),
}

impl Rle {
    /// Takes uncompressed runs.
    ///
    /// # Errors
    ///
    /// [`RleError::Total`] if they do not add up to the image.
    pub fn new(size: Size, counts: Vec<u32>) -> Result<Rle, RleError> {
        let found = counts.iter().map(|&count| u64::from(count)).sum();
        let expected = size.pixels() as u64;
        if found == expected { Ok(Rle { size, counts }) } else { Err(RleError::Total { found, expected }) }
    }

    /// Reads the compressed form: differences to the last run but one, in groups of five bits.
    ///
    /// # Errors
    ///
    /// [`RleError`] if the string is damaged or made for another size.
    pub fn from_string(size: Size, text: &str) -> Result<Rle, RleError> {
        let mut counts: Vec<u32> = Vec::new();
        let mut bytes = text.bytes().enumerate();
        while let Some(first) = bytes.next() {
            let run = counts.len();
            let (mut value, mut shift, mut next) = (0_i64, 0, first);
            loop {
                let (at, byte) = next;
                if !(48..112).contains(&byte) {
                    return Err(RleError::Character { byte, at });
                }
                let group = i64::from(byte - 48);
                value |= (group & 0x1f) << shift;
                shift += 5;
                if group & 0x20 == 0 {
                    if group & 0x10 != 0 {
                        value |= -1 << shift;
                    }
                    break;
                }
                // Seven groups hold 35 bits, more than any difference of two runs.
                next = bytes.next().filter(|_| shift < 35).ok_or(RleError::Number { run })?;
            }
            if run > 2 {
                value += i64::from(counts[run - 2]);
            }
            counts.push(u32::try_from(value).map_err(|_| RleError::Value { run, value })?);
        }
        Rle::new(size, counts)
    }

    /// Writes the compressed form.
    pub fn to_compressed(&self) -> String {
        let mut text = String::new();
        for (run, &count) in self.counts.iter().enumerate() {
            let mut value = i64::from(count);
            if run > 2 {
                value -= i64::from(self.counts[run - 2]);
            }
            loop {
                let group = (value & 0x1f) as u8;
                value >>= 5;
                // The highest bit of the last group is the sign.
                let last = value == if group & 0x10 != 0 { -1 } else { 0 };
                text.push(char::from(48 + group + if last { 0 } else { 0x20 }));
                if last {
                    break;
                }
            }
        }
        text
    }

    /// Makes the run lengths of the pixels of a row-major mask that are `value`.
    ///
    /// Returns `None` if `map` does not have the pixels of `size`.
    pub fn of_value(map: &[u8], size: Size, value: u8) -> Option<Rle> {
        if map.len() != size.pixels() {
            return None;
        }
        let mut counts = Vec::new();
        let (mut set, mut count) = (false, 0);
        for x in 0..size.width() as usize {
            for row in map.chunks_exact(size.width() as usize) {
                if (row[x] == value) != set {
                    counts.push(count);
                    (set, count) = (!set, 0);
                }
                count += 1;
            }
        }
        counts.push(count);
        Some(Rle { size, counts })
    }

    /// Returns the size of the image.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Returns the runs, uncompressed.
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// Returns the number of set pixels.
    pub fn area(&self) -> u64 {
        self.counts.iter().skip(1).step_by(2).map(|&count| u64::from(count)).sum()
    }

    /// Returns the pixels that are set in either mask, or `None` if their sizes differ.
    pub fn union(&self, other: &Rle) -> Option<Rle> {
        if self.size != other.size {
            return None;
        }
        let (ours, theirs) = (self.starts_and_ends(), other.starts_and_ends());
        let mut spans: Vec<[u32; 2]> = ours.chain(theirs).collect();
        spans.sort_unstable();
        Some(Rle::of_spans(self.size, &spans))
    }

    /// Makes runs of sorted spans `from..to` of column-major positions, which may overlap.
    pub(crate) fn of_spans(size: Size, spans: &[[u32; 2]]) -> Rle {
        let mut merged: Vec<[u32; 2]> = Vec::new();
        for &[from, to] in spans.iter().filter(|[from, to]| from < to) {
            match merged.last_mut() {
                Some(last) if from <= last[1] => last[1] = last[1].max(to),
                _ => merged.push([from, to]),
            }
        }
        let (mut counts, mut at) = (Vec::with_capacity(2 * merged.len() + 1), 0);
        for [from, to] in merged {
            counts.extend([from - at, to - from]);
            at = to;
        }
        let rest = size.pixels() as u32 - at;
        if rest > 0 || counts.is_empty() {
            counts.push(rest);
        }
        Rle { size, counts }
    }

    /// Returns the runs of set pixels as `from..to` of column-major positions.
    fn starts_and_ends(&self) -> impl Iterator<Item = [u32; 2]> {
        let mut at = 0;
        let ends = self.counts.iter().map(move |&count| {
            let from = at;
            at += count;
            [from, at]
        });
        ends.skip(1).step_by(2).filter(|[from, to]| from < to)
    }

    /// Decodes the mask.
    pub fn to_patch(&self) -> Patch {
        let height = self.size.height();
        let (mut left, mut right, mut top, mut bottom) = (u32::MAX, 0, u32::MAX, 0);
        for [from, to] in self.starts_and_ends() {
            let last = to - 1;
            let one_column = from / height == last / height;
            left = left.min(from / height);
            right = right.max(last / height);
            top = top.min(if one_column { from % height } else { 0 });
            bottom = bottom.max(if one_column { last % height } else { height - 1 });
        }
        if left > right {
            return Patch::over(self.size, [0, 0], [-1, -1]);
        }
        let corner = |x: u32, y: u32| [i64::from(x), i64::from(y)];
        let mut patch = Patch::over(self.size, corner(left, top), corner(right, bottom));
        for [from, to] in self.starts_and_ends() {
            for x in from / height..=(to - 1) / height {
                let start = i64::from(x) * i64::from(height);
                let [from, to] = [from, to].map(|at| (i64::from(at) - start).clamp(0, i64::from(height)));
                patch.column(i64::from(x), from, to);
            }
        }
        patch
    }
}
