//! The file of an index: a header of 128 bytes, the positions of each sample's pixels, then a table of the samples.
//!
//! All numbers are little-endian. The header: magic (8 bytes), version (u32), most pixels listed of a class (u32),
//! number of samples (u64), length of the file (u64), key (32 bytes), offset of the table (u64), BLAKE3 (32 bytes) over
//! the 72 bytes before it and the table, zeros. A row of the table: height, width (u32 each), offset of the positions
//! (u64), their CRC-32C, number of classes (u32 each), then for each class its id, number of listed pixels (u32 each)
//! and number of pixels (u64). Positions are u32: those of one class after those of another.

use crate::cache::format::{checksum, opened};
use crate::load::class_index::Present;
use crate::load::pixels;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

const MAGIC: [u8; 8] = *b"oxisegci";
pub(super) const VERSION: u32 = 1;
pub(super) const HEADER: usize = 128;
/// Number of header bytes that the checksum covers, and offset of the checksum.
const CHECKED: usize = 72;
/// Bytes of a row without its classes, and of each class.
const ROW: u64 = 24;
const CLASS: u64 = 16;
/// Maximum number of classes of a sample.
const CLASSES: u64 = 255;

/// Identity of the data that the file indexes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// Number of samples.
    pub(super) samples: u64,
    /// Maximum number of listed pixels of each class and sample.
    pub(super) most: u32,
    /// Hash of everything that the masks are a function of.
    pub(super) key: [u8; 32],
}

/// A sample in the index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Row {
    /// Height and width of its mask.
    pub(super) size: [u32; 2],
    /// Offset of its positions in the file.
    pub(super) offset: u64,
    /// CRC-32C of its positions.
    pub(super) sum: u32,
    /// Its classes, by id.
    pub(super) shown: Box<[Present]>,
}

impl Row {
    /// Returns the number of bytes of its positions.
    pub(super) fn bytes(&self) -> u64 {
        4 * self.shown.iter().map(|shown| u64::from(shown.listed)).sum::<u64>()
    }

    /// Returns whether its positions lie before `end`, and its classes are those of a mask of its size.
    fn is_sound(&self, most: u32, end: u64) -> bool {
        let classes = self
            .shown
            .iter()
            .all(|shown| (1..=most).contains(&shown.listed) && u64::from(shown.listed) <= shown.pixels);
        let area = self.shown.iter().try_fold(0u64, |sum, shown| sum.checked_add(shown.pixels));
        let within = self.offset.checked_add(self.bytes()).is_some_and(|after| after <= end);
        let ordered = self.shown.is_sorted_by(|left, right| left.class < right.class);
        classes && ordered && within && area.is_some_and(|area| area <= pixels(self.size) as u64)
    }
}

/// Encodes the table of an index.
pub(super) fn encode_table(rows: &[Row]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for row in rows {
        row.size.iter().for_each(|side| bytes.extend_from_slice(&side.to_le_bytes()));
        bytes.extend_from_slice(&row.offset.to_le_bytes());
        bytes.extend_from_slice(&row.sum.to_le_bytes());
        bytes.extend_from_slice(&(row.shown.len() as u32).to_le_bytes());
        for shown in &row.shown {
            bytes.extend_from_slice(&u32::from(shown.class).to_le_bytes());
            bytes.extend_from_slice(&shown.listed.to_le_bytes());
            bytes.extend_from_slice(&shown.pixels.to_le_bytes());
        }
    }
    bytes
}

/// Encodes the header of a file whose `table` begins at `offset` and is its end.
pub(super) fn encode_header(head: &Head, offset: u64, table: &[u8]) -> [u8; HEADER] {
    let mut bytes = Vec::with_capacity(HEADER);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&head.most.to_le_bytes());
    bytes.extend_from_slice(&head.samples.to_le_bytes());
    bytes.extend_from_slice(&(offset + table.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&head.key);
    bytes.extend_from_slice(&offset.to_le_bytes());
    let sum = checksum(&bytes, table);
    bytes.extend_from_slice(&sum);
    let mut header = [0; HEADER];
    header[..bytes.len()].copy_from_slice(&bytes);
    header
}

/// Returns the table of the file at `path` if it is complete and belongs to `head`; otherwise the reason why not, or
/// `None` where there is no file.
pub(super) fn read(path: &Path, head: &Head) -> Result<Vec<Row>, Option<String>> {
    let said = |error: io::Error| Some(error.to_string());
    let (mut file, length) = opened(path, HEADER as u64)?;
    let mut header = [0; HEADER];
    file.read_exact(&mut header).map_err(said)?;
    let mut at = &header[CHECKED - 8..CHECKED];
    let offset = number(&mut at).unwrap_or_default();
    let longest = head.samples.saturating_mul(ROW + CLASS * CLASSES);
    let rest = length.checked_sub(offset).filter(|rest| *rest <= longest && offset >= HEADER as u64);
    let expected = encode_header(head, offset.min(length), &[]);
    let problem = match () {
        () if header[..8] != expected[..8] => Some("it is no index"),
        () if header[8..16] != expected[8..16] => Some("it is of another version of oxiseg"),
        () if header[32..64] != expected[32..64] => {
            Some("the files or the settings are not those that it was made from")
        }
        () if rest.is_none() || header[16..24] != expected[16..24] || header[24..32] != length.to_le_bytes() => {
            Some("its header or its length is damaged")
        }
        () => None,
    };
    if let Some(problem) = problem {
        return Err(Some(problem.into()));
    }
    let mut table = vec![0; rest.unwrap_or_default() as usize];
    file.seek(SeekFrom::Start(offset)).map_err(said)?;
    file.read_exact(&mut table).map_err(said)?;
    let rows = (header[CHECKED..CHECKED + 32] == checksum(&header[..CHECKED], &table)).then(|| decode(&table, head));
    let rows = rows.flatten().filter(|rows| rows.iter().all(|row| row.is_sound(head.most, offset)));
    rows.ok_or_else(|| Some("its table is damaged".into()))
}

/// Decodes a table; `None` if it is not one of so many samples.
fn decode(mut table: &[u8], head: &Head) -> Option<Vec<Row>> {
    let mut rows = Vec::new();
    for _ in 0..head.samples {
        let size = [word(&mut table)?, word(&mut table)?];
        let (offset, sum, classes) = (number(&mut table)?, word(&mut table)?, word(&mut table)?);
        let mut shown = Vec::new();
        for _ in 0..classes {
            let class = u8::try_from(word(&mut table)?).ok()?;
            shown.push(Present { class, listed: word(&mut table)?, pixels: number(&mut table)? });
        }
        rows.push(Row { size, offset, sum, shown: shown.into() });
    }
    table.is_empty().then_some(rows)
}

fn word(bytes: &mut &[u8]) -> Option<u32> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u32::from_le_bytes(*first))
}

fn number(bytes: &mut &[u8]) -> Option<u64> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u64::from_le_bytes(*first))
}
