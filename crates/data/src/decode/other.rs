//! Formats without a decoder of their own here, decoded by the `image` crate.

use super::problem::{Problem, fits};
use super::tiff::Tiff;
use super::turn::Turn;
use super::{MOST_MEMORY, grey, limited, note};
use image::{ColorType, ImageDecoder, ImageFormat, ImageReader};
use std::io::Cursor;

/// Pixel layout of a buffer: 1 grey, 2 grey and alpha, 3 RGB or 4 RGBA, with 16 bits a channel if `wide`, else 8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// Height and width.
    pub(super) size: [u32; 2],
    /// Channels, 1 to 4.
    pub(super) channels: u8,
    /// True if a channel has 16 bits, in native byte order, and not 8.
    pub(super) wide: bool,
    /// Format of the file.
    pub(super) format: ImageFormat,
}

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

impl Found {
    /// Converts the pixels in `raw` to an image of 3 channels or 1. The content of `raw` is unspecified afterwards.
    pub(super) fn convert(self, raw: &mut Vec<u8>, channels: u32, pixels: &mut Vec<u8>) {
        if self.wide {
            for place in 0..raw.len() / 2 {
                let wide = u16::from_ne_bytes([raw[2 * place], raw[2 * place + 1]]);
                raw[place] = (wide >> 8) as u8;
            }
            raw.truncate(raw.len() / 2);
        }
        pixels.clear();
        match (self.channels, channels) {
            (1, 1) | (3, 3) => std::mem::swap(raw, pixels),
            (1, _) => pixels.extend(raw.iter().flat_map(|&grey| [grey; 3])),
            (2, 1) => pixels.extend(raw.as_chunks().0.iter().map(|[grey, _]| grey)),
            (2, _) => pixels.extend(raw.as_chunks().0.iter().flat_map(|&[grey, _]| [grey; 3])),
            (3, _) => grey::convert::<3>(raw, pixels),
            (_, 1) => grey::convert::<4>(raw, pixels),
            _ => pixels.extend(raw.as_chunks().0.iter().flat_map(|&[red, green, blue, _]| [red, green, blue])),
        }
    }
}
