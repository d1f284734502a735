//! Formats without a decoder of their own here, decoded by the `image` crate.

use super::file::limited;
use super::found::Found;
use super::note;
use super::problem::{MOST_MEMORY, Problem, fits};
use super::tiff::Tiff;
use super::turn::Turn;
use image::{ColorType, ImageDecoder, ImageFormat, ImageReader};
use std::io::Cursor;

/// Decodes `file` of this `format` into `raw`, for an image of `channels`, and returns the turn that brings it upright.
pub(super) fn decode(
    file: &[u8],
    format: ImageFormat,
    channels: u32,
    raw: &mut Vec<u8>,
) -> Result<(Found, Turn), Problem> {
    if format == ImageFormat::Tiff {
        let tiff = Tiff::open(Cursor::new(file))?;
        let turn = tiff.turn;
        return Ok((tiff.image(channels, raw)?, turn));
    }
    let decoder = limited(ImageReader::with_format(Cursor::new(file), format)).into_decoder()?;
    let (width, height) = decoder.dimensions();
    let color = decoder.color_type();
    let wide = match color {
        ColorType::L8 | ColorType::La8 | ColorType::Rgb8 | ColorType::Rgba8 => false,
        ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16 => true,
        _ => {
            return Err(Problem::Refused(format!(
                "has pixels of a kind that is not read ({color:?}): save it with 8 bits a channel"
            )));
        }
    };
    let size = [height, width];
    // The limit applies to the larger of the stored and the converted pixels.
    fits(size, u64::from(channels).max(color.bytes_per_pixel().into()), MOST_MEMORY)?;
    raw.resize(decoder.total_bytes() as usize, 0);
    // The WebP decoder reports missing data as corrupt data.
    let is_short = || {
        let length = file.get(4..8).and_then(<[u8]>::first_chunk).map(|length| u32::from_le_bytes(*length));
        format == ImageFormat::WebP && length.is_some_and(|length| file.len() < 8 + length as usize)
    };
    decoder.read_image(raw).map_err(|source| if is_short() { Problem::CutOff } else { source.into() })?;
    Ok((Found { size, channels: color.channel_count(), wide, format }, note::of_bytes(format, file)))
}
