//! PNG of any colour type and depth, decoded row by row; interlaced ones whole.

use crate::cache::{At, Blocks};
use crate::error::{Problem, damaged, refused};
use crate::info::{Colors, Info};
use crate::number::{Kind, Stored};
use crate::opened::Opened;
use crate::options::Options;
use crate::samples::{expand, unpack};
use crate::source::{Endian, MOST, Source};
use crate::window::Grid;
use png::{ColorType, Decoder, DecodingError, Limits, Reader, Transformations};
use std::fs::File;
use std::io::BufReader;

/// Bytes of the rows that are decoded together.
const ROWS: u64 = 256 << 10;

/// Opens a PNG.
pub(crate) fn open(source: Source, options: &Options) -> Result<Opened, Problem> {
    let reader = reader(&source)?;
    let header = reader.info();
    let size = [header.height, header.width];
    let bits = header.bit_depth as u8;
    let samples = header.color_type.samples();
    let row = (u64::from(header.width) * samples as u64 * u64::from(bits)).div_ceil(8);
    if row > MOST {
        return refused(format!("has rows of {row} bytes, and {MOST} are the most"));
    }
    let transparent = header.trns.as_ref();
    let palette = match (header.color_type, &header.palette) {
        (ColorType::Indexed, Some(_)) if options.raw => None,
        (ColorType::Indexed, Some(colors)) => Some(table(colors, transparent.map(|alpha| &**alpha))),
        (ColorType::Indexed, None) => return damaged("its palette is missing"),
        _ => None,
    };
    let (colors, alpha) = match header.color_type {
        ColorType::Indexed => (
            if options.raw { Colors::Plain } else { Colors::Rgb },
            palette.as_ref().filter(|palette| palette.bands == 4).map(|_| 3),
        ),
        ColorType::Grayscale => (Colors::Plain, None),
        ColorType::GrayscaleAlpha => (Colors::Plain, Some(1)),
        ColorType::Rgb => (Colors::Rgb, None),
        ColorType::Rgba => (Colors::Rgb, Some(3)),
    };
    let no_data = match (header.color_type, transparent.map(|alpha| &**alpha)) {
        // The crate shortens those of up to 8 bits.
        (ColorType::Grayscale, Some(&[value])) => Some(f64::from(value)),
        (ColorType::Grayscale, Some(&[high, low])) => Some(f64::from(u16::from_be_bytes([high, low]))),
        _ => None,
    };
    let stored = if palette.is_some() { Stored::U8 } else { Stored { kind: Kind::Unsigned, bits } };
    let Some(cell) = stored.cell() else { return damaged(format!("its depth is {bits} bits")) };
    let bands = palette.as_ref().map_or(samples, |palette| palette.bands);
    let whole = header.interlaced;
    let rows = if whole { size[0] } else { u32::try_from(ROWS / row.max(1)).unwrap_or(u32::MAX).clamp(1, size[0]) };
    let grid = Grid { size, block: [rows, size[1]], samples: bands as u32, cell, scale: None };
    let info = Info { colors, alpha, no_data, ..Info::plain("PNG", size, bands as u32, stored) };
    let decoder = Rows { source, reader: Some(reader), next: 0, grid, bits, samples, palette, whole };
    Ok(Opened { info, grid, decoder: Box::new(decoder) })
}

/// Colours of a palette, three or four bytes each.
struct Palette {
    bands: usize,
    colors: Vec<u8>,
}

fn table(colors: &[u8], alpha: Option<&[u8]>) -> Palette {
    let Some(alpha) = alpha else { return Palette { bands: 3, colors: colors.to_vec() } };
    let opaque = |index: usize| alpha.get(index).copied().unwrap_or(u8::MAX);
    let colors = colors.as_chunks::<3>().0.iter().enumerate();
    Palette { bands: 4, colors: colors.flat_map(|(index, &[r, g, b])| [r, g, b, opaque(index)]).collect() }
}

struct Rows {
    source: Source,
    /// Reader, before the row `next`.
    reader: Option<Reader<BufReader<File>>>,
    next: u32,
    grid: Grid,
    bits: u8,
    /// Samples a pixel, as stored.
    samples: usize,
    palette: Option<Palette>,
    whole: bool,
}

impl Blocks for Rows {
    fn decode(&mut self, at: At, into: &mut Vec<u8>) -> Result<(), Problem> {
        let [height, width] = self.grid.size;
        let first = at.row * self.grid.block[0];
        if self.next > first {
            self.reader = None;
        }
        let mut reader = match self.reader.take() {
            Some(reader) => reader,
            None => {
                self.next = 0;
                reader(&self.source)?
            }
        };
        into.clear();
        let mut packed = Vec::new();
        let rows = self.grid.block[0].min(height - first);
        if self.whole {
            let Some(bytes) = reader.output_buffer_size().filter(|bytes| *bytes as u64 <= MOST) else {
                return refused(format!("is interlaced and larger than {MOST} bytes: save it without interlacing"));
            };
            packed = vec![0; bytes];
            reader.next_frame(&mut packed).map_err(of_png)?;
            self.next = u32::MAX;
        } else {
            while self.next < first + rows {
                let Some(row) = reader.next_row().map_err(of_png)? else { return damaged("rows are missing") };
                if self.next >= first {
                    packed.extend_from_slice(row.data());
                }
                self.next += 1;
            }
            self.reader = Some(reader);
        }
        let line = width as usize * self.samples;
        match self.bits {
            16 => {
                Endian::Big.to_native(&mut packed, 2);
                into.append(&mut packed);
            }
            8 => into.append(&mut packed),
            bits => unpack(&packed, bits, line, rows as usize, into),
        }
        if let Some(palette) = &self.palette {
            let indexes = std::mem::take(into);
            if let Some(index) = expand(&indexes, &palette.colors, palette.bands, into) {
                return damaged(format!("a pixel has the colour {index}, which its palette lacks"));
            }
        }
        Ok(())
    }
}

/// Opens a reader before the first row.
fn reader(source: &Source) -> Result<Reader<BufReader<File>>, Problem> {
    let mut decoder = Decoder::new_with_limits(BufReader::new(source.stream(0)?), Limits { bytes: MOST as usize });
    decoder.set_transformations(Transformations::IDENTITY);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.read_info().map_err(of_png)
}

fn of_png(error: DecodingError) -> Problem {
    match error {
        DecodingError::IoError(source) if source.kind() == std::io::ErrorKind::UnexpectedEof => {
            Problem::Damaged("it is cut off".into())
        }
        DecodingError::IoError(source) => Problem::Io(source),
        DecodingError::Format(what) => Problem::Damaged(format!("{what}")),
        DecodingError::Parameter(what) => Problem::Damaged(format!("{what}")),
        DecodingError::LimitsExceeded => Problem::Refused(format!("needs more than {MOST} bytes to be decoded")),
    }
}
