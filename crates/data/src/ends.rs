//! Finds truncated image files before training. Reads a few kilobytes of each file and decodes hardly any.
//!
//! A truncated file nearly always has a sound header, so the end of the file is looked at. Where the end leaves it
//! open, the file is decoded, so that none is refused that training could read.

use crate::error::Error;
use crate::reader::with_reader;
use image::ImageFormat;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use tiff::tags::Tag;

/// Bytes at the end of a file that are looked at. What cameras and downloads leave behind an image is mostly less.
const TAIL: u64 = 16 << 10;

/// Looks at the end of the image at `path`, and decodes it, `channels` bytes a pixel, where that does not show it to be
/// whole.
///
/// # Errors
///
/// Fails with the decoder's error where the image cannot be decoded.
pub(crate) fn look(path: &Path, channels: u32) -> Result<(), Error> {
    if is_whole(path).map_err(|source| Error::Io { path: path.into(), source })? {
        return Ok(());
    }
    with_reader(|reader| reader.decodes(path, channels))
}

/// Returns whether the file is shown to be whole without decoding it. `false` leaves it open.
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
        // The length that the header states, which in a WebP does not count its first 8 bytes.
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

/// Returns whether all strips or tiles of the first picture in a TIFF lie within the file.
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
