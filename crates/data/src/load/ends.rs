//! Finds truncated image files before training. Reads a few kilobytes of each file and decodes hardly any.
//!
//! A truncated file nearly always has a sound header, so the end of the file is examined. If the end is inconclusive,
//! the file is decoded, so that no file is refused that training could read.

use crate::decode::part;
use crate::error::Error;
use crate::load::layout::Layout;
use crate::load::reader::with_reader;
use image::ImageFormat;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use tiff::tags::Tag;

/// Number of bytes at the end of a file that are examined. Trailing data of cameras and downloads is mostly shorter.
const TAIL: u64 = 16 << 10;

/// Examines the end of the image at `path`. Where that does not prove it complete, decodes it as
/// `layout` says.
///
/// # Errors
///
/// Fails with the decoder's error where the image cannot be decoded.
pub(crate) fn look(path: &Path, layout: &Layout) -> Result<(), Error> {
    if !part::is_part(path) && is_whole(path).map_err(|source| Error::Io { path: path.into(), source })? {
        return Ok(());
    }
    with_reader(|reader| reader.decodes(path, layout))
}

/// Returns whether the file is proven complete without decoding it. `false` is inconclusive.
fn is_whole(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut head = Vec::new();
    file.by_ref().take(16).read_to_end(&mut head)?;
    let stated = |at: usize| head.get(at..).and_then(|rest| rest.first_chunk()).map(|bytes| u32::from_le_bytes(*bytes));
    Ok(match image::guess_format(&head) {
        Ok(ImageFormat::Jpeg) => has_marker(&tail(&mut file, length)?, b"\xff\xd9"),
        Ok(ImageFormat::Png) => has_marker(&tail(&mut file, length)?, b"IEND\xaeB`\x82"),
        Ok(ImageFormat::Gif) => tail(&mut file, length)?.iter().rev().find(|byte| **byte != 0) == Some(&0x3b),
        // The length in the header, which for WebP excludes the first 8 bytes.
        Ok(ImageFormat::WebP) => stated(4).is_some_and(|bytes| u64::from(bytes) + 8 <= length),
        Ok(ImageFormat::Bmp) => stated(2).is_some_and(|bytes| bytes > 0 && u64::from(bytes) <= length),
        Ok(ImageFormat::Tiff) => holds_its_pieces(file, length).unwrap_or(false),
        _ => false,
    })
}

fn tail(file: &mut File, length: u64) -> io::Result<Vec<u8>> {
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    file.take(TAIL).read_to_end(&mut tail)?;
    Ok(tail)
}

fn has_marker(tail: &[u8], marker: &[u8]) -> bool {
    tail.windows(marker.len()).rev().any(|bytes| bytes == marker)
}

/// Returns whether all strips or tiles of the first image in a TIFF lie within the file.
fn holds_its_pieces(mut file: File, length: u64) -> tiff::TiffResult<bool> {
    file.seek(SeekFrom::Start(0))?;
    let mut decoder = tiff::decoder::Decoder::new(BufReader::new(file))?;
    for (offsets, counts) in [(Tag::StripOffsets, Tag::StripByteCounts), (Tag::TileOffsets, Tag::TileByteCounts)] {
        let offsets = decoder.find_tag_unsigned_vec::<u64>(offsets)?;
        let counts = decoder.find_tag_unsigned_vec::<u64>(counts)?;
        if let (Some(offsets), Some(counts)) = (offsets, counts) {
            let within = |(offset, count): (&u64, &u64)| offset.saturating_add(*count) <= length;
            return Ok(offsets.len() == counts.len() && offsets.iter().zip(&counts).all(within));
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests;
