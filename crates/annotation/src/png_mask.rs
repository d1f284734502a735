//! PNG files that hold masks.

use crate::patch::Size;
use png::{BitDepth, ColorType, Decoder, Limits, Transformations};
use std::io::Cursor;

/// Reads a mask of one channel: true where the stored value is not 0.
///
/// # Errors
///
/// A sentence, if it is no PNG of one channel, or larger than `largest` in a direction.
pub(crate) fn nonzero(bytes: &[u8], largest: Size) -> Result<(u32, Vec<bool>), String> {
    let (width, height, color, depth, data) = decode(bytes, |width, height| {
        let fits = width <= largest.width() && height <= largest.height();
        fits.then_some(()).ok_or_else(|| {
            format!(
                "it has {width} × {height} pixels, more than its image of {} × {}",
                largest.width(),
                largest.height()
            )
        })
    })?;
    if !matches!(color, ColorType::Grayscale | ColorType::Indexed) {
        return Err(format!("it has the colour type {color:?} and not one channel"));
    }
    let bits = match depth {
        BitDepth::One => 1,
        BitDepth::Two => 2,
        BitDepth::Four => 4,
        BitDepth::Eight => 8,
        BitDepth::Sixteen => 16,
    };
    let line = data.len() / height.max(1) as usize;
    let mut mask = Vec::with_capacity(width as usize * height as usize);
    for row in data.chunks_exact(line.max(1)) {
        mask.extend((0..width as usize).map(|x| match bits {
            16 => row[2 * x] != 0 || row[2 * x + 1] != 0,
            _ => row[x * bits / 8] >> (8 - bits - x * bits % 8) & (0xff >> (8 - bits)) as u8 != 0,
        }));
    }
    Ok((width, mask))
}

/// Reads segment ids: red + 256 green + 65,536 blue.
///
/// # Errors
///
/// A sentence, if it is no PNG of three channels with 8 bits each, or of another size.
pub(crate) fn segments(bytes: &[u8], size: Size) -> Result<Vec<u32>, String> {
    let (_, _, color, depth, data) = decode(bytes, |width, height| {
        let fits = (width, height) == (size.width(), size.height());
        fits.then_some(()).ok_or_else(|| {
            format!("it has {width} × {height} pixels, but the image {} × {}", size.width(), size.height())
        })
    })?;
    let channels = match (color, depth) {
        (ColorType::Rgb, BitDepth::Eight) => 3,
        (ColorType::Rgba, BitDepth::Eight) => 4,
        _ => return Err(format!("it has the colour type {color:?} of {depth:?} bits and not RGB of 8")),
    };
    let id = |pixel: &[u8]| u32::from(pixel[0]) | u32::from(pixel[1]) << 8 | u32::from(pixel[2]) << 16;
    Ok(data.chunks_exact(channels).map(id).collect())
}

type Decoded = (u32, u32, ColorType, BitDepth, Vec<u8>);

/// Decodes the values as they are stored, once its size was agreed to.
fn decode(bytes: &[u8], agree: impl Fn(u32, u32) -> Result<(), String>) -> Result<Decoded, String> {
    let limits = Limits { bytes: 256 << 20 };
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), limits);
    decoder.set_transformations(Transformations::IDENTITY);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let info = decoder.read_header_info().map_err(|error| error.to_string())?;
    agree(info.width, info.height)?;
    let mut reader = decoder.read_info().map_err(|error| error.to_string())?;
    let length = reader.output_buffer_size().ok_or("it is too large")?;
    let mut data = vec![0; length];
    let frame = reader.next_frame(&mut data).map_err(|error| error.to_string())?;
    data.truncate(frame.buffer_size());
    Ok((frame.width, frame.height, frame.color_type, frame.bit_depth, data))
}
