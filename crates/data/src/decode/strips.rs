//! Reads images row by row, for images too large to hold in memory.

use super::file::open;
use super::found::Found;
use super::problem::{LARGEST_SIDE, MOST_MEMORY, Problem, fits, sides};
use super::tiff::{Tiff, of_tiff};
use super::turn::{Orientation, Turn};
use super::wide::{self, WideRows};
use super::windows::Windows;
use super::{Decoder, header};
use crate::error::Error;
use crate::load::layout::Layout;
use image::ImageFormat;
use png::Transformations;
use raster::{Element, Pixels, on_pixels};
use std::fs::File;
use std::io::{BufReader, Seek};
use std::path::{Path, PathBuf};
use tiff::decoder::DecodingResult;

/// Maximum size of an unpacked strip of a TIFF, or of one row of its tiles, in bytes.
const LARGEST_STRIP: u64 = 64 << 20;

/// Number of rows that are passed over at once where they must be decoded.
const SKIPPED: u32 = 64;

/// An image, row by row, as a network sees it. Only the requested rows are in memory for PNG (not interlaced), for TIFF
/// files of 8 or 16 bits, and for most files that are read with more than 8 bits or bands.
/// Other images, and those that an orientation tag turns, are in memory as a whole.
pub struct Strips {
    path: PathBuf,
    size: [u32; 2],
    layout: Layout,
    rows: Rows,
    /// Rows as stored in the file.
    raw: Vec<u8>,
    /// Decoded rows that have not been returned yet, as the network sees them.
    ready: Pixels,
    /// For each pixel of an image that is decoded as a whole, whether it is unknown; then of the rows read last.
    hidden: Vec<bool>,
    unknown: Vec<bool>,
}

enum Rows {
    /// All rows are decoded.
    Decoded,
    Png {
        reader: Box<png::Reader<BufReader<File>>>,
        channels: u8,
    },
    Tiff(Box<Pieces>),
    Windows(Box<Windows>),
    Wide(Box<WideRows>),
}

/// The strips or tiles of a TIFF.
struct Pieces {
    file: Tiff<BufReader<File>>,
    /// Width and height of a strip or tile, and number of tiles side by side.
    piece: [u32; 2],
    across: u32,
    /// Number of decoded rows of the whole image.
    done: u32,
}

impl Strips {
    /// Opens the image at `path` for a network that sees pixels of this `layout`: 3 or 1 for bytes of colours or grey.
    pub fn open(path: &Path, layout: impl Into<Layout>, orientation: Orientation) -> Result<Self, Error> {
        let layout = layout.into();
        if !layout.is_plain() || wide::is_only_wide(path)? {
            return Self::wide(path, layout, orientation);
        }
        let named = |problem: Problem| problem.of(path);
        let channels = layout.channels();
        let strips = |(size, rows)| Self {
            path: path.into(),
            size,
            layout: layout.clone(),
            rows,
            raw: Vec::new(),
            ready: Pixels::default(),
            hidden: Vec::new(),
            unknown: Vec::new(),
        };
        let mut reader = open(path)?;
        let header = header::read(&mut reader).map_err(named)?;
        let turn = header.turn.wanted(orientation);
        if turn == Turn::NONE {
            reader.rewind().map_err(|source| named(source.into()))?;
            let streamed = match header.format {
                ImageFormat::Png => png_rows(reader).map_err(named)?,
                ImageFormat::Tiff => match tiff_rows(reader).map_err(named)? {
                    None => Windows::open(path)?.map(|rows| (rows.size(), Rows::Windows(Box::new(rows)))),
                    streamed => streamed,
                },
                _ => None,
            };
            if let Some(streamed) = streamed {
                return Ok(strips(streamed));
            }
        } else if let Err(Problem::Refused(problem)) = fits(header.size, channels.into(), MOST_MEMORY)
            && header.format != ImageFormat::Jpeg
        {
            let why = "a note of its orientation turns it, so it is not read row by row (turn it once with another \
                       program, or set data.orientation to \"ignore\")";
            return Err(named(Problem::Refused(format!("{problem}; {why}"))));
        }
        let mut ready = Pixels::default();
        let size = Decoder::default().large_image(path, channels, orientation, ready.bytes_mut())?;
        Ok(Self { ready, ..strips((size, Rows::Decoded)) })
    }

    fn wide(path: &Path, layout: Layout, orientation: Orientation) -> Result<Self, Error> {
        let mut hidden = Vec::new();
        let (size, rows, ready) = match WideRows::open(path, &layout, orientation)? {
            Some(rows) => (rows.size(), Rows::Wide(Box::new(rows)), Pixels::new(layout.depth)),
            None => {
                let mut ready = Pixels::default();
                let size = Decoder::default().layout(path, &layout, orientation, (&mut ready, &mut hidden))?;
                (size, Rows::Decoded, ready)
            }
        };
        Ok(Self { path: path.into(), size, layout, rows, raw: Vec::new(), ready, hidden, unknown: Vec::new() })
    }

    /// Returns height and width.
    pub fn size(&self) -> [u32; 2] {
        self.size
    }

    /// Passes over the next `count` rows. Files that are read in windows are not decoded there, others are.
    pub fn skip(&mut self, count: u32) -> Result<(), Error> {
        match &mut self.rows {
            Rows::Wide(rows) => rows.skip(count),
            Rows::Windows(rows) => rows.skip(count),
            _ => {
                let (mut left, mut pixels) = (count, Pixels::new(self.layout.depth));
                while left > 0 {
                    let some = left.min(SKIPPED);
                    self.read(some, &mut pixels)?;
                    pixels.clear();
                    left -= some;
                }
            }
        }
        Ok(())
    }

    /// Appends the next `count` rows, `W×C` numbers each, to `pixels`; at the end fewer.
    pub fn read(&mut self, count: u32, pixels: &mut Pixels) -> Result<(), Error> {
        let row = self.size[1] as usize * self.layout.channels() as usize;
        let wanted = row * count as usize;
        match &mut self.rows {
            Rows::Wide(rows) => rows.read(count, &mut self.ready)?,
            Rows::Windows(rows) => rows.read(count, self.layout.channels(), &mut self.raw, self.ready.bytes_mut())?,
            _ => {}
        }
        while self.ready.len() < wanted && self.decode().map_err(|problem| problem.of(&self.path))? {}
        let of_rows = (count as usize * self.size[1] as usize).min(self.hidden.len());
        self.unknown.clear();
        self.unknown.extend(self.hidden.drain(..of_rows));
        on_pixels!(&mut self.ready, ready => move_front(ready, wanted, pixels));
        Ok(())
    }

    /// Tells for each pixel of the rows that were read last whether its content is unknown; empty where all are known.
    pub fn unknown(&self) -> &[bool] {
        match &self.rows {
            Rows::Wide(rows) => rows.unknown(),
            _ => &self.unknown,
        }
    }

    /// Decodes a few more rows. Returns whether there were any.
    fn decode(&mut self) -> Result<bool, Problem> {
        self.raw.clear();
        let [height, width] = self.size;
        let (rows, channels, wide) = match &mut self.rows {
            Rows::Decoded | Rows::Windows(_) | Rows::Wide(_) => return Ok(false),
            Rows::Png { reader, channels } => match reader.next_row()? {
                None => return Ok(false),
                Some(row) => {
                    self.raw.extend_from_slice(row.data());
                    (1, *channels, false)
                }
            },
            Rows::Tiff(tiff) if tiff.done == height => return Ok(false),
            Rows::Tiff(tiff) => {
                let rows = tiff.decode([height, width], &mut self.raw).map_err(of_tiff)?;
                let wide = tiff.file.is_wide();
                (rows, tiff.file.colors.resolve(&mut self.raw, wide), wide)
            }
        };
        let mut pixels = Vec::new();
        let found = Found { size: [rows, width], channels, wide, format: ImageFormat::Png };
        found.convert(&mut self.raw, self.layout.channels(), &mut pixels);
        self.ready.bytes_mut().append(&mut pixels);
        Ok(true)
    }
}

impl Pieces {
    /// Decodes the next strip, or the next row of tiles, into `raw`, and returns its number of rows.
    fn decode(&mut self, [height, width]: [u32; 2], raw: &mut Vec<u8>) -> tiff::TiffResult<u32> {
        let rows = self.piece[1].min(height - self.done);
        let bytes = usize::from(self.file.colors.channels()) * if self.file.is_wide() { 2 } else { 1 };
        raw.resize(rows as usize * width as usize * bytes, 0);
        let first = self.done / self.piece[1] * self.across;
        for column in 0..self.across {
            let (number, left) = (first + column, column as usize * self.piece[0] as usize * bytes);
            let columns = self.piece[0].min(width - column * self.piece[0]);
            let piece = match self.file.decoder.read_chunk(number)? {
                DecodingResult::U8(values) => values,
                DecodingResult::U16(values) => values.into_iter().flat_map(u16::to_ne_bytes).collect(),
                _ => return Err(tiff::TiffError::IntSizeError),
            };
            let line = columns as usize * bytes;
            let into = raw.chunks_exact_mut(width as usize * bytes);
            for (into, from) in into.zip(piece.chunks_exact(line)) {
                into[left..left + line].copy_from_slice(from);
            }
        }
        self.done += rows;
        Ok(rows)
    }
}

/// Moves up to `count` numbers from the front of `ready` to the end of `to`.
fn move_front<T: Element>(ready: &mut Vec<T>, count: usize, to: &mut Pixels) {
    T::buffer(to).extend(ready.drain(..count.min(ready.len())));
}

type Streamed = Option<([u32; 2], Rows)>;

/// Returns `None` for an interlaced PNG.
fn png_rows(reader: BufReader<File>) -> Result<Streamed, Problem> {
    let mut decoder = png::Decoder::new(reader);
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let reader = Box::new(decoder.read_info()?);
    let size = [reader.info().height, reader.info().width];
    sides(size)?;
    let channels = reader.output_color_type().0.samples() as u8;
    Ok((!reader.info().interlaced).then_some((size, Rows::Png { reader, channels })))
}

/// Returns `None` for a TIFF of an unusual kind.
fn tiff_rows(reader: BufReader<File>) -> Result<Streamed, Problem> {
    let file = Tiff::open(reader)?;
    file.check_image()?;
    let [height, width] = file.size;
    let piece: [u32; 2] = file.decoder.chunk_dimensions().into();
    let [columns, rows] = piece.map(|side| side.min(LARGEST_SIDE));
    let across = width.div_ceil(columns.max(1));
    let bytes_a_pixel = u64::from(file.colors.channels()) * u64::from(file.bits / 8);
    let bytes = u64::from(across * columns) * u64::from(rows) * bytes_a_pixel;
    if bytes == 0 || bytes > LARGEST_STRIP || file.planar {
        return Ok(None);
    }
    Ok(Some(([height, width], Rows::Tiff(Box::new(Pieces { file, piece, across, done: 0 })))))
}

#[cfg(test)]
mod tests;
