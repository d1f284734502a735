//! The PNG files of masks, as they are stored: `image` would replace the indices of a palette by its colours, and scale
//! values of 1, 2 and 4 bits to 255.

use super::{MOST_MEMORY, bytes, failed, mask, undecodable};
use crate::classes::Color;
use crate::dataset::pixels;
use crate::error::Error;
use crate::labels::{Label, LabelTable, Place};
use image::{ImageError, ImageFormat};
use png::{BitDepth, ColorType, Limits, Transformations};
use std::io::Cursor;
use std::path::Path;

/// How a mask is stored.
struct Stored {
    size: [u32; 2],
    color: ColorType,
    depth: BitDepth,
    /// Red, green and blue of each index.
    palette: Option<Vec<u8>>,
    /// Bytes a row in memory.
    row: usize,
}

/// See [`super::Decoder::mask`].
pub(super) fn decode(
    file: &[u8],
    path: &Path,
    labels: &LabelTable,
    raw: &mut Vec<u8>,
    ids: &mut Vec<u8>,
) -> Result<[u32; 2], Error> {
    let stored = read(file, labels.has_colors(), raw).map_err(|source| undecodable(path, source))?;
    let place = Place { path, width: stored.size[1] };
    let wide = stored.depth == BitDepth::Sixteen;
    match stored.color {
        ColorType::Grayscale | ColorType::GrayscaleAlpha if wide => {
            let values = raw.as_chunks().0.iter().map(|bytes| u16::from_be_bytes(*bytes));
            labels.look_up(values.step_by(stored.color.samples()).map(Label::Value), ids, place)?;
        }
        _ if wide => return Err(Error::MaskFormat { path: path.into(), problem: mask::WIDE_COLORS.into() }),
        ColorType::Grayscale | ColorType::Indexed => {
            if stored.depth == BitDepth::Eight {
                std::mem::swap(raw, ids);
            } else {
                stored.unpack(raw, ids);
            }
            labels.translate(ids, |value| stored.label(value, labels.has_colors()), place)?;
        }
        color => mask::of_bytes(color.samples() as u8, raw, labels, ids, place)?,
    }
    Ok(stored.size)
}

/// Decodes `file` into `raw`; its palette is wanted only where colours are labels.
fn read(file: &[u8], with_palette: bool, raw: &mut Vec<u8>) -> Result<Stored, ImageError> {
    let of_png = |source: png::DecodingError| match source {
        png::DecodingError::LimitsExceeded => super::too_large(),
        source => failed(ImageFormat::Png, source),
    };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(file), Limits { bytes: MOST_MEMORY as usize });
    decoder.set_transformations(Transformations::IDENTITY);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let header = decoder.read_header_info().map_err(of_png)?;
    let size = [header.height, header.width];
    bytes(size, header.bytes_per_pixel() as u64)?;
    let mut reader = decoder.read_info().map_err(of_png)?;
    let info = reader.info();
    let palette = info.palette.as_deref().filter(|_| with_palette).map(<[u8]>::to_vec);
    raw.resize(reader.output_buffer_size().ok_or_else(super::too_large)?, 0);
    let found = reader.next_frame(raw).map_err(of_png)?;
    Ok(Stored { size, color: found.color_type, depth: found.bit_depth, palette, row: found.line_size })
}

impl Stored {
    /// What the number of a pixel is, looked up among colours or not. A value of fewer than 8 bits is taken as it is,
    /// but as a shade of grey it goes up to white.
    fn label(&self, value: u8, as_color: bool) -> Label {
        if !as_color {
            return Label::Value(value.into());
        }
        let Some(palette) = self.palette.as_ref().filter(|_| self.color == ColorType::Indexed) else {
            let white = (1u32 << self.depth as u32) - 1;
            return Label::Color(Color([(u32::from(value) * 255 / white) as u8; 3]));
        };
        match palette.as_chunks().0.get(usize::from(value)) {
            Some(&rgb) => Label::Color(Color(rgb)),
            None => Label::Value(value.into()),
        }
    }

    /// Takes rows of numbers of 1, 2 or 4 bits apart, the upper bits first.
    fn unpack(&self, packed: &[u8], values: &mut Vec<u8>) {
        let bits = self.depth as usize;
        let (in_a_byte, mask, width) = (8 / bits, (1u8 << bits) - 1, self.size[1] as usize);
        values.clear();
        values.reserve(pixels(self.size));
        for row in packed.chunks_exact(self.row) {
            let numbers =
                row.iter().flat_map(|byte| (1..=in_a_byte).map(move |place| byte >> (8 - place * bits) & mask));
            values.extend(numbers.take(width));
        }
    }
}
