//! Compressions of a block.

use super::jpeg::{self, Shape};
use crate::error::{Problem, damaged, refused};
use std::io::{self, Read};

/// Compression of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    None,
    Lzw,
    Deflate,
    PackBits,
    Jpeg,
    Zstd,
}

impl Codec {
    /// Returns the compression of a number of the tag `Compression`.
    pub(crate) fn of(number: u64) -> Result<Self, Problem> {
        let name = match number {
            1 => return Ok(Self::None),
            5 => return Ok(Self::Lzw),
            7 => return Ok(Self::Jpeg),
            8 | 32_946 => return Ok(Self::Deflate),
            32_773 => return Ok(Self::PackBits),
            50_000 | 34_926 => return Ok(Self::Zstd),
            2..=4 => "fax (CCITT)",
            6 => "the old JPEG-in-TIFF",
            33_003 | 33_004 | 33_005 | 34_712 => "JPEG 2000",
            34_676 | 34_677 => "SGI LogLuv",
            34_887 => "LERC",
            34_925 => "LZMA",
            50_001 | 34_927 => "WebP",
            50_002 | 52_546 => "JPEG XL",
            _ => "an unknown compression",
        };
        refused(format!(
            "is a TIFF compressed with {name} (number {number}), which is not read: save it with DEFLATE \
             (gdal_translate -co COMPRESS=DEFLATE, or tiffcp -c zip)"
        ))
    }
}

/// Unpacks a block of `expected` bytes.
pub(crate) fn unpack(
    codec: Codec,
    packed: &mut Vec<u8>,
    expected: usize,
    tables: Option<&[u8]>,
    shape: Shape,
    into: &mut Vec<u8>,
) -> Result<(), Problem> {
    into.clear();
    match codec {
        Codec::None => std::mem::swap(into, packed),
        Codec::Lzw => lzw(packed, expected, into)?,
        Codec::Deflate => stream(flate2::bufread::ZlibDecoder::new(&packed[..]), expected, into)?,
        Codec::PackBits => pack_bits(packed, expected, into),
        Codec::Jpeg => jpeg::decode(packed, tables, shape, into)?,
        Codec::Zstd => {
            let decoder = ruzstd::decoding::StreamingDecoder::new(&packed[..]);
            let decoder = decoder.map_err(|error| Problem::Damaged(format!("a block cannot be unpacked: {error}")))?;
            stream(decoder, expected, into)?;
        }
    }
    if into.len() < expected {
        return damaged(format!("a block unpacks to {} bytes, and {expected} are needed", into.len()));
    }
    into.truncate(expected);
    Ok(())
}

/// Reads up to `expected` bytes: memory grows with what comes, not with what a header claims.
fn stream(decoder: impl Read, expected: usize, into: &mut Vec<u8>) -> Result<(), Problem> {
    match decoder.take(expected as u64).read_to_end(into) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
        Err(error) => damaged(format!("a block cannot be unpacked: {error}")),
    }
}

fn lzw(packed: &[u8], expected: usize, into: &mut Vec<u8>) -> Result<(), Problem> {
    if let [0, second, ..] = packed
        && second & 1 == 1
    {
        return refused(
            "is a TIFF with LZW as before 1990 (bits reversed), which is not read: save it anew (tiffcp -c zip)",
        );
    }
    let mut decoder = weezl::decode::Decoder::with_tiff_size_switch(weezl::BitOrder::Msb, 8);
    let (mut rest, mut buffer) = (packed, vec![0; 1 << 16]);
    while into.len() < expected {
        let result = decoder.decode_bytes(rest, &mut buffer);
        rest = &rest[result.consumed_in..];
        into.extend_from_slice(&buffer[..result.consumed_out]);
        match result.status {
            Ok(weezl::LzwStatus::Ok) => {}
            Ok(weezl::LzwStatus::Done | weezl::LzwStatus::NoProgress) => break,
            Err(error) => return damaged(format!("a block cannot be unpacked: {error}")),
        }
    }
    Ok(())
}

fn pack_bits(packed: &[u8], expected: usize, into: &mut Vec<u8>) {
    let mut rest = packed;
    while let [head, tail @ ..] = rest
        && into.len() < expected
    {
        let head = *head as i8;
        if head >= 0 {
            let count = (head as usize + 1).min(tail.len());
            into.extend_from_slice(&tail[..count]);
            rest = &tail[count..];
        } else if head == -128 {
            rest = tail;
        } else if let [byte, tail @ ..] = tail {
            into.resize(into.len() + usize::from(head.unsigned_abs()) + 1, *byte);
            rest = tail;
        } else {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Codec, lzw, pack_bits};
    use crate::error::Problem;

    #[test]
    fn pack_bits_repeats_and_copies() {
        // The example of Apple's technical note 1023, and what a hostile file may end with.
        let packed = [0xfe, 0xaa, 0x02, 0x80, 0x00, 0x2a, 0xfd, 0xaa, 0x03, 0x80, 0x00, 0x2a, 0x22, 0xf7, 0xaa];
        let mut bytes = Vec::new();
        pack_bits(&packed, 24, &mut bytes);
        let expected = [
            0xaa, 0xaa, 0xaa, 0x80, 0x00, 0x2a, 0xaa, 0xaa, 0xaa, 0xaa, 0x80, 0x00, 0x2a, 0x22, 0xaa, 0xaa, 0xaa, 0xaa,
            0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa,
        ];
        assert_eq!(bytes, expected);
        for short in [&[0x80][..], &[5, 1], &[0xff]] {
            pack_bits(short, 24, &mut Vec::new());
        }
    }

    #[test]
    fn lzw_of_before_1990_and_unknown_compressions_are_named() {
        let Err(Problem::Refused(said)) = lzw(&[0, 1, 2], 10, &mut Vec::new()) else { panic!() };
        assert!(said.contains("before 1990"), "{said}");
        for (number, name) in [(4, "fax"), (6, "old JPEG"), (34_887, "LERC"), (50_001, "WebP"), (99, "unknown")] {
            let Err(Problem::Refused(said)) = Codec::of(number) else { panic!() };
            assert!(said.contains(name), "{said}");
        }
    }
}
