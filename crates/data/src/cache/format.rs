//! The file of a cache: a header of 128 bytes, 24 bytes for each sample, then the samples.
//!
//! All numbers are little-endian. The header: magic (8 bytes), version (u32), bytes a pixel (u32), number of samples
//! (u64), length of the file (u64), key (32 bytes), BLAKE3 (32 bytes) over the 64 bytes before it and the index, zeros.
//! An entry of the index: offset of the sample (u64; 0 for one that could not be loaded), height, width, CRC-32C of the
//! image, CRC-32C of the mask (u32 each). A sample begins at a multiple of 64: the image, and directly after it the
//! mask.

use crate::load::dataset::Dataset;
use crate::load::pixels;
use raster::Depth;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

const MAGIC: [u8; 8] = *b"oxisegdc";
const VERSION: u32 = 1;
const HEADER: usize = 128;
/// Number of header bytes that the checksum covers, and offset of the checksum.
const CHECKED: usize = 64;
const ENTRY: usize = 24;
/// Alignment of samples, in bytes.
const ALIGNMENT: u64 = 64;

/// Position, size and checksums of a sample.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// In bytes from the beginning of the file; 0 for a sample that could not be loaded.
    pub(super) offset: u64,
    /// Height and width.
    pub(super) size: [u32; 2],
    /// CRC-32C of the image and of the mask.
    pub(super) sums: [u32; 2],
}

/// Identity of the data that the file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// Kind of the images' numbers. The key tells it too, so the file only notes the bytes a pixel.
    pub(super) depth: Depth,
    /// Numbers a pixel of the images.
    pub(super) channels: u32,
    /// Number of samples.
    pub(super) samples: u64,
    /// Hash from [`key`].
    pub(super) key: [u8; 32],
}

impl Head {
    /// Returns the bytes a pixel of the images.
    pub(super) fn pixel(&self) -> u32 {
        self.channels * self.depth.bytes() as u32
    }
}

/// Returns the next offset at which a sample may begin.
pub(super) fn aligned(offset: u64) -> u64 {
    offset.next_multiple_of(ALIGNMENT)
}

/// Returns the number of bytes before the first sample.
pub(super) fn front(samples: u64) -> u64 {
    aligned(HEADER as u64 + samples * ENTRY as u64)
}

/// Hashes everything that the samples are a function of: their preparation, their names, and the sizes and times of
/// their files.
pub(crate) fn key(dataset: &dyn Dataset, description: &str) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&VERSION.to_le_bytes());
    let text = |hasher: &mut blake3::Hasher, text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    text(&mut hasher, description);
    for index in 0..dataset.len() {
        text(&mut hasher, &dataset.name(index));
        // A missing file is reported by whoever loads the sample.
        let source = dataset.source(index).unwrap_or_default();
        hasher.update(&source.bytes.to_le_bytes());
        hasher.update(&source.modified.to_le_bytes());
    }
    hasher.finalize().into()
}

/// Encodes the header and the index of a file of `length` bytes.
pub(super) fn encode(head: &Head, entries: &[Entry], length: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + entries.len() * ENTRY);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&head.pixel().to_le_bytes());
    bytes.extend_from_slice(&head.samples.to_le_bytes());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&head.key);
    bytes.resize(HEADER, 0);
    for entry in entries {
        bytes.extend_from_slice(&entry.offset.to_le_bytes());
        for number in entry.size.iter().chain(&entry.sums) {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
    }
    let (header, index) = bytes.split_at_mut(HEADER);
    let sum = checksum(&header[..CHECKED], index);
    header[CHECKED..CHECKED + 32].copy_from_slice(&sum);
    bytes
}

/// Returns the checksum of a file's header and index.
pub(crate) fn checksum(header: &[u8], index: &[u8]) -> [u8; 32] {
    *blake3::Hasher::new().update(header).update(index).finalize().as_bytes()
}

/// Opens the file at `path`, which has at least so many bytes, and returns its length too; otherwise the reason why
/// not, or `None` where there is no file.
pub(crate) fn opened(path: &Path, least: u64) -> Result<(File, u64), Option<String>> {
    let said = |error: io::Error| Some(error.to_string());
    let file = regular::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => None,
        _ => said(error),
    })?;
    let length = file.metadata().map_err(said)?.len();
    if length < least { Err(Some(format!("it has only {length} bytes"))) } else { Ok((file, length)) }
}

/// Returns the length and the index of the file at `path` if it is complete and belongs to `head`; otherwise the reason
/// why not, or `None` where there is no file.
pub(super) fn read(path: &Path, head: &Head) -> Result<(u64, Vec<Entry>), Option<String>> {
    let said = |error: io::Error| Some(error.to_string());
    let (mut file, length) = opened(path, front(head.samples))?;
    let expected = encode(head, &[], length);
    let mut header = [0; HEADER];
    file.read_exact(&mut header).map_err(said)?;
    let problem = match () {
        () if header[..8] != expected[..8] => Some("it is no cache"),
        () if header[8..12] != expected[8..12] => Some("it is of another version of oxiseg"),
        () if header[32..CHECKED] != expected[32..CHECKED] => {
            Some("the files or the settings are not those that it was made from")
        }
        () if header[..CHECKED] != expected[..CHECKED] => Some("its header or its length is damaged"),
        () => None,
    };
    if let Some(problem) = problem {
        return Err(Some(problem.into()));
    }
    let mut index = vec![0; head.samples as usize * ENTRY];
    file.read_exact(&mut index).map_err(said)?;
    if header[CHECKED..CHECKED + 32] != checksum(&header[..CHECKED], &index) {
        return Err(Some("its index is damaged".into()));
    }
    let entries: Vec<Entry> = index.as_chunks::<ENTRY>().0.iter().map(decode).collect();
    let fits = |entry: &Entry| {
        let bytes = (pixels(entry.size) as u64).checked_mul(u64::from(head.pixel()) + 1);
        bytes.and_then(|bytes| entry.offset.checked_add(bytes)).is_some_and(|end| end <= length)
    };
    if entries.iter().all(fits) { Ok((length, entries)) } else { Err(Some("its index is damaged".into())) }
}

fn decode(bytes: &[u8; ENTRY]) -> Entry {
    let words = bytes.as_chunks::<4>().0;
    let [low, high, height, width, image, mask] =
        [0, 1, 2, 3, 4, 5].map(|at: usize| u32::from_le_bytes(words.get(at).copied().unwrap_or_default()));
    Entry { offset: u64::from(high) << 32 | u64::from(low), size: [height, width], sums: [image, mask] }
}
