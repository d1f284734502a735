//! PNG masks, decoded as stored: `image` would replace palette indices by their colours, and scale values of 1, 2 and 4
//! bits to 255.

use super::problem::{Problem, fits, tell_size};
use super::unpack::unpack;
use super::{MOST_MEMORY, mask};
use crate::classes::Color;
use crate::error::Error;
use crate::labels::{Label, LabelTable, Place};
use png::{BitDepth, ColorType, Limits, Transformations};
use std::io::Cursor;
use std::path::Path;

/// Storage format of a mask.
struct Stored {
    size: [u32; 2],
    color: ColorType,
    depth: BitDepth,
    /// Red, green and blue of each index.
    palette: Option<Vec<u8>>,
}

/// Decodes as [`super::Decoder::mask`] describes.
pub(super) fn decode(
    file: &[u8],
    path: &Path,
    labels: &LabelTable,
    raw: &mut Vec<u8>,
    ids: &mut Vec<u8>,
) -> Result<[u32; 2], Error> {
    let stored = read(file, labels.has_colors(), raw).map_err(|problem| problem.of(path))?;
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
                unpack(raw, stored.depth as u8, stored.size, ids);
            }
            match labels.has_colors() {
                true => labels.translate(ids, |value| stored.color(value), place)?,
                false => labels.translate(ids, labels.of_bits(stored.depth as u8), place)?,
            }
        }
        color => mask::of_bytes(color.samples() as u8, raw, labels, ids, place)?,
    }
    Ok(stored.size)
}

/// Decodes `file` into `raw`; keeps the palette only if `with_palette`, since only colour labels need it.
fn read(file: &[u8], with_palette: bool, raw: &mut Vec<u8>) -> Result<Stored, Problem> {
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(file), Limits { bytes: MOST_MEMORY as usize });
    decoder.set_transformations(Transformations::IDENTITY);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let header = decoder.read_header_info()?;
    let size = [header.height, header.width];
    fits(size, header.bytes_per_pixel() as u64, MOST_MEMORY)?;
    let mut reader = decoder.read_info()?;
    let info = reader.info();
    let palette = info.palette.as_deref().filter(|_| with_palette).map(<[u8]>::to_vec);
    let bytes = reader.output_buffer_size().ok_or_else(|| tell_size(size, u64::MAX, MOST_MEMORY))?;
    raw.resize(bytes, 0);
    let found = reader.next_frame(raw)?;
    Ok(Stored { size, color: found.color_type, depth: found.bit_depth, palette })
}

impl Stored {
    /// Returns the colour of a number: that of the palette, or a shade of grey in which the largest number is white.
    fn color(&self, value: u8) -> Label {
        let Some(palette) = self.palette.as_ref().filter(|_| self.color == ColorType::Indexed) else {
            let white = (1u32 << self.depth as u32) - 1;
            return Label::Color(Color([(u32::from(value) * 255 / white) as u8; 3]));
        };
        match palette.as_chunks().0.get(usize::from(value)) {
            Some(&rgb) => Label::Color(Color(rgb)),
            None => Label::Value(value.into()),
        }
    }
}
