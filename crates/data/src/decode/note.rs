//! Reads the orientation tag of an image file without decoding pixels. TIFF files have a tag of their own, see
//! [`super::tiff`].

use super::turn::Turn;
use image::ImageFormat;
use std::io::{self, BufRead, Cursor, Read, Seek, SeekFrom};

/// EXIF tag of the orientation.
const ORIENTATION: u16 = 0x0112;

/// Number of bytes at the end of a PNG file that are searched for EXIF data after the pixels.
const TAIL: u64 = 64 << 10;

/// Maximum number of bytes read of EXIF data.
const LONGEST: u64 = 1 << 20;

/// Keywords of the text chunks in which ImageMagick keeps EXIF data, as hexadecimal digits.
const RAW_PROFILES: [&str; 2] = ["Raw profile type exif", "Raw profile type APP1"];

/// Returns the turn that brings the image in `file` upright. Unreadable EXIF data is ignored, as viewers do.
pub(super) fn of_bytes(format: ImageFormat, file: &[u8]) -> Turn {
    found(format, &mut Cursor::new(file), true)
}

/// Does the same for a file, reading no more of it than is needed. Leaves `reader` at an unspecified position.
pub(super) fn of_file(format: ImageFormat, reader: &mut (impl BufRead + Seek)) -> Turn {
    reader.rewind().map_or(Turn::NONE, |()| found(format, reader, false))
}

fn found(format: ImageFormat, reader: &mut (impl BufRead + Seek), in_memory: bool) -> Turn {
    let turn = match format {
        ImageFormat::Jpeg => jpeg(reader),
        ImageFormat::Png => png(reader, in_memory),
        ImageFormat::WebP => webp(reader),
        _ => Ok(None),
    };
    turn.ok().flatten().unwrap_or(Turn::NONE)
}

/// Reads the orientation from the EXIF structure `exif`, with or without the six-byte prefix that it has in a JPEG.
fn exif(exif: &[u8]) -> Option<Turn> {
    let tiff = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
    let little = match tiff.first_chunk()? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let short = |at: usize| {
        let bytes = *tiff.get(at..)?.first_chunk()?;
        Some(if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let long = |at: usize| {
        let bytes = *tiff.get(at..)?.first_chunk()?;
        Some(if little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    };
    let directory = long(4)? as usize;
    for entry in 0..usize::from(short(directory)?) {
        let at = directory.checked_add(2 + 12 * entry)?;
        if short(at)? == ORIENTATION && long(at + 4)? == 1 {
            return match short(at + 2)? {
                3 => short(at + 8).map(Turn::of),
                4 => u16::try_from(long(at + 8)?).ok().map(Turn::of),
                _ => None,
            };
        }
    }
    None
}

/// Reads the orientation from the first EXIF segment of a JPEG.
fn jpeg(reader: &mut (impl BufRead + Seek)) -> io::Result<Option<Turn>> {
    reader.seek_relative(2)?;
    loop {
        let marker = next_marker(reader)?;
        if matches!(marker, 0xda | 0xd9) {
            return Ok(None);
        }
        let length = segment(reader)?;
        if marker != 0xe1 || length < 6 {
            reader.seek_relative(length)?;
            continue;
        }
        let opening: [u8; 6] = bytes(reader)?;
        if &opening == b"Exif\0\0" {
            return Ok(exif(&upto(reader, length as u64 - 6)?));
        }
        reader.seek_relative(length - 6)?;
    }
}

/// Reads the orientation of a PNG, whose EXIF chunk stands before or after the pixels; falls back to ImageMagick's
/// text. In memory it walks past the pixels chunk by chunk, in a file it jumps to the end.
fn png(reader: &mut (impl BufRead + Seek), in_memory: bool) -> io::Result<Option<Turn>> {
    let end = reader.seek(SeekFrom::End(0))?;
    reader.seek(SeekFrom::Start(8))?;
    let (mut has_raw_profile, mut past_pixels) = (false, false);
    let behind = loop {
        let Ok((length, kind)) = chunk(reader) else { break None };
        match &kind {
            b"eXIf" if !past_pixels => return Ok(exif(&upto(reader, length)?)),
            b"eXIf" if end - reader.stream_position()? + 4 <= TAIL => break exif(&upto(reader, length)?),
            b"IEND" => break None,
            b"IDAT" if !in_memory => {
                reader.seek(SeekFrom::Start(end.saturating_sub(TAIL)))?;
                break behind(&upto(reader, TAIL)?).and_then(exif);
            }
            b"IDAT" => {
                past_pixels = true;
                reader.seek_relative(length as i64 + 4)?;
            }
            b"tEXt" | b"zTXt" if !past_pixels => {
                let keyword = upto(reader, length.min(RAW_PROFILES[0].len() as u64))?;
                has_raw_profile |= RAW_PROFILES.iter().any(|known| known.as_bytes() == keyword);
                reader.seek_relative(length as i64 - keyword.len() as i64 + 4)?;
            }
            _ => reader.seek_relative(length as i64 + 4)?,
        }
    };
    if behind.is_some() || !has_raw_profile {
        return Ok(behind);
    }
    reader.rewind()?;
    Ok(raw_profile(reader))
}

/// Finds the content of an `eXIf` chunk in the last bytes of a PNG file. Accepts a match only if chunk follows chunk
/// from there to the end: the same four bytes may occur in the pixel data.
fn behind(tail: &[u8]) -> Option<&[u8]> {
    let starts = (4..tail.len()).filter(|&at| tail[at] == b'e' && tail[at..].starts_with(b"eXIf"));
    starts.into_iter().find_map(|at| {
        let mut rest = &tail[at - 4..];
        loop {
            let (length, kind) =
                rest.split_first_chunk::<4>().map(|(length, rest)| (u32::from_be_bytes(*length), rest))?;
            if kind.starts_with(b"IEND") {
                break;
            }
            kind.get(..4).filter(|kind| kind.is_ascii())?;
            rest = kind.get(8 + length as usize..)?;
        }
        let length = u32::from_be_bytes(*tail[at - 4..].first_chunk()?) as usize;
        tail.get(at + 4..at + 4 + length)
    })
}

/// Reads ImageMagick's text: a line with the profile's name, one with its length, then lines of digits.
fn raw_profile(reader: impl BufRead + Seek) -> Option<Turn> {
    let mut decoder = png::Decoder::new(reader);
    decoder.set_ignore_iccp_chunk(true);
    let png = decoder.read_info().ok()?;
    let info = png.info();
    let known = |keyword: &str| RAW_PROFILES.contains(&keyword);
    let plain = info.uncompressed_latin1_text.iter().find(|text| known(&text.keyword)).map(|text| text.text.clone());
    let packed = || info.compressed_latin1_text.iter().find(|text| known(&text.keyword))?.get_text().ok();
    let text = plain.or_else(packed)?;
    let digits: Vec<u8> = text.lines().skip(3).flat_map(|line| line.trim().bytes()).collect();
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let bytes: Option<Vec<u8>> =
        digits.as_chunks().0.iter().map(|&[high, low]| Some((digit(high)? << 4 | digit(low)?) as u8)).collect();
    exif(&bytes?)
}

/// Reads the orientation of a WebP file from its `EXIF` chunk, if the extended header announces one.
fn webp(reader: &mut (impl BufRead + Seek)) -> io::Result<Option<Turn>> {
    reader.seek_relative(12)?;
    let mut announced = false;
    loop {
        let kind: [u8; 4] = bytes(reader)?;
        let length = u64::from(u32::from_le_bytes(bytes(reader)?));
        match &kind {
            b"VP8X" if length > 0 => {
                let [flags] = bytes(reader)?;
                announced = flags & 0b1000 != 0;
                reader.seek_relative((length - 1 + length % 2) as i64)?;
            }
            b"EXIF" if announced => return Ok(exif(&upto(reader, length)?)),
            _ if !announced => return Ok(None),
            _ => reader.seek_relative((length + length % 2) as i64)?,
        }
    }
}

/// Returns the next marker of a JPEG. Skips fill bytes and everything that is no marker.
pub(super) fn next_marker(reader: &mut impl Read) -> io::Result<u8> {
    loop {
        while bytes(reader)? != [0xff] {}
        let mut marker = [0xff];
        while marker == [0xff] {
            marker = bytes(reader)?;
        }
        if marker != [0] {
            return Ok(marker[0]);
        }
    }
}

/// Returns the number of bytes that follow in this segment of a JPEG.
pub(super) fn segment(reader: &mut impl Read) -> io::Result<i64> {
    Ok(i64::from(u16::from_be_bytes(bytes(reader)?)).saturating_sub(2).max(0))
}

/// Returns length and kind of the next chunk of a PNG.
pub(super) fn chunk(reader: &mut impl Read) -> io::Result<(u64, [u8; 4])> {
    Ok((u32::from_be_bytes(bytes(reader)?).into(), bytes(reader)?))
}

pub(super) fn bytes<const N: usize>(reader: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn upto(reader: &mut impl Read, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(length.min(LONGEST)).read_to_end(&mut bytes)?;
    Ok(bytes)
}
