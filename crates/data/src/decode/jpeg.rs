//! JPEG files, decoded by `zune-jpeg`, the fastest of the decoders written in Rust.

use super::grey;
use super::note::{next_marker, segment};
use super::problem::{Problem, failed, fits};
use image::ImageFormat;
use std::io::{BufRead, Cursor, Seek};
use zune_core::bytestream::{ZByteReaderTrait, ZCursor};
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

/// Reads height and width from the header.
pub(super) fn dimensions(file: impl BufRead + Seek) -> Result<[u32; 2], Problem> {
    let mut decoder = decoder(file);
    decoder.decode_headers().map_err(of_jpeg)?;
    size(&decoder, u64::MAX)
}

/// Decodes as [`super::Decoder::image`] describes, up to `most` bytes.
pub(super) fn decode(
    file: &[u8],
    channels: u32,
    raw: &mut Vec<u8>,
    pixels: &mut Vec<u8>,
    most: u64,
) -> Result<[u32; 2], Problem> {
    // The decoder fills missing data with grey and reports nothing. A broken download must not be trained on.
    if !is_complete(file) {
        return Err(Problem::CutOff);
    }
    let mut decoder = decoder(ZCursor::new(file));
    decoder.decode_headers().map_err(of_jpeg)?;
    let size = size(&decoder, most)?;
    let is_grey = decoder.input_colorspace() == Some(ColorSpace::Luma);
    if channels == 1 && is_grey {
        decoder.set_options(decoder.options().jpeg_set_out_colorspace(ColorSpace::Luma));
        pixels.resize(fits(size, 1, most)?, 0);
        decoder.decode_into(pixels).map_err(of_jpeg)?;
    } else if channels == 1 {
        raw.resize(fits(size, 3, most)?, 0);
        decoder.decode_into(raw).map_err(of_jpeg)?;
        grey::convert::<3>(raw, pixels);
    } else {
        pixels.resize(fits(size, 3, most)?, 0);
        decoder.decode_into(pixels).map_err(of_jpeg)?;
    }
    Ok(size)
}

fn decoder<R: ZByteReaderTrait>(file: R) -> JpegDecoder<R> {
    // Strict: data that the decoder finds corrupt is an error and not painted over.
    let options = DecoderOptions::default().set_strict_mode(true).jpeg_set_out_colorspace(ColorSpace::RGB);
    JpegDecoder::new_with_options(file, options.set_max_width(usize::MAX).set_max_height(usize::MAX))
}

fn size<R: ZByteReaderTrait>(decoder: &JpegDecoder<R>, most: u64) -> Result<[u32; 2], Problem> {
    let (width, height) = decoder.dimensions().unwrap_or_default();
    let size = [height as u32, width as u32];
    fits(size, 3, most).map(|_| size)
}

fn of_jpeg(source: DecodeErrors) -> Problem {
    let problem = match source {
        DecodeErrors::Unsupported(kind) => {
            format!("is a JPEG of a kind that is not read ({kind:?}): save it as an ordinary JPEG or as PNG")
        }
        DecodeErrors::ExhaustedData => return Problem::CutOff,
        source => return Problem::Image(failed(ImageFormat::Jpeg, source)),
    };
    Problem::Refused(problem)
}

/// Returns whether a JPEG's compressed data contains an end marker (which cannot occur there by chance). Leaves other
/// errors to the decoder.
pub(super) fn is_complete(jpeg: &[u8]) -> bool {
    // Segments before the data may hold a thumbnail with an end marker of its own: skip them.
    let mut rest = Cursor::new(jpeg);
    rest.set_position(2);
    let mut past_header = || -> std::io::Result<()> {
        loop {
            let marker = next_marker(&mut rest)?;
            let length = segment(&mut rest)?;
            rest.seek_relative(length)?;
            if marker == 0xda {
                return Ok(());
            }
        }
    };
    if past_header().is_err() {
        return false;
    }
    let data = jpeg.get(rest.position() as usize..).unwrap_or_default();
    data.windows(2).rev().any(|pair| pair == [0xff, 0xd9])
}
