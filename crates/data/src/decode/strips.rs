//! Images that are read row by row, because they are larger than one would like to hold.

use super::other::Found;
use super::{Decoder, LARGEST_SIDE, failed, open, too_large, undecodable};
use crate::error::Error;
use image::{ImageError, ImageFormat};
use png::Transformations;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use tiff::ColorType;
use tiff::decoder::DecodingResult;

/// The most bytes that a strip of a TIFF, or tiles of it side by side, may be when they are unpacked.
const LARGEST_STRIP: u64 = 64 << 20;

/// An image, row by row, as [`read_pixels`](super::read_pixels) sees it. Of PNG (without interlacing) and of TIFF files with grey or
/// coloured pixels of 8 or 16 bits only the rows that are asked for are in memory, of others all of them.
pub struct Strips {
    path: PathBuf,
    size: [u32; 2],
    channels: u32,
    rows: Rows,
    /// Rows as the file has them.
    raw: Vec<u8>,
    /// Rows that were decoded and not asked for yet, of the image's channels.
    ready: Vec<u8>,
}

enum Rows {
    /// All of them are ready.
    Decoded,
    Png {
        reader: Box<png::Reader<BufReader<File>>>,
        channels: u8,
    },
    Tiff(Box<Tiff>),
}

struct Tiff {
    decoder: tiff::decoder::Decoder<BufReader<File>>,
    /// Width and height of a strip or tile, and how many of them lie side by side.
    piece: [u32; 2],
    across: u32,
    channels: u8,
    wide: bool,
    /// Rows that were decoded, of the whole image.
    done: u32,
}

impl Strips {
    /// Opens the image at `path` for a network with this many `channels` (3 or 1).
    pub fn open(path: &Path, channels: u32) -> Result<Self, Error> {
        let mut header = [0; 8];
        let known = open(path)?.read(&mut header);
        let bytes = known.map_err(|source| Error::Io { path: path.into(), source })?;
        let format = image::guess_format(&header[..bytes]).ok();
        let strips =
            |(size, rows)| Self { path: path.into(), size, channels, rows, raw: Vec::new(), ready: Vec::new() };
        let streamed = match format {
            Some(ImageFormat::Png) => png_rows(path)?,
            Some(ImageFormat::Tiff) => tiff_rows(path)?,
            _ => None,
        };
        if let Some(streamed) = streamed {
            return Ok(strips(streamed));
        }
        let mut ready = Vec::new();
        let size = Decoder::default().large_image(path, channels, &mut ready)?;
        Ok(Self { ready, ..strips((size, Rows::Decoded)) })
    }

    /// Height and width.
    pub fn size(&self) -> [u32; 2] {
        self.size
    }

    /// Puts the next `count` rows, `W×C` bytes each, behind those that are in `pixels`; at the end fewer.
    pub fn read(&mut self, count: u32, pixels: &mut Vec<u8>) -> Result<(), Error> {
        let row = self.size[1] as usize * self.channels as usize;
        let wanted = row * count as usize;
        while self.ready.len() < wanted && self.decode().map_err(|source| undecodable(&self.path, source))? {}
        let taken = wanted.min(self.ready.len());
        pixels.extend(self.ready.drain(..taken));
        Ok(())
    }

    /// Decodes a few more rows; whether there were any.
    fn decode(&mut self) -> Result<bool, ImageError> {
        self.raw.clear();
        let [height, width] = self.size;
        let (rows, channels, wide) = match &mut self.rows {
            Rows::Decoded => return Ok(false),
            Rows::Png { reader, channels } => match reader.next_row().map_err(of_png)? {
                None => return Ok(false),
                Some(row) => {
                    self.raw.extend_from_slice(row.data());
                    (1, *channels, false)
                }
            },
            Rows::Tiff(tiff) if tiff.done == height => return Ok(false),
            Rows::Tiff(tiff) => {
                let rows = tiff.decode([height, width], &mut self.raw).map_err(of_tiff)?;
                (rows, tiff.channels, tiff.wide)
            }
        };
        let mut pixels = Vec::new();
        let found = Found { size: [rows, width], channels, wide, format: ImageFormat::Png };
        found.convert(&mut self.raw, self.channels, &mut pixels);
        self.ready.append(&mut pixels);
        Ok(true)
    }
}

impl Tiff {
    /// Puts the rows of the next strip, or of the next tiles side by side, into `raw`, and gives their number.
    fn decode(&mut self, [height, width]: [u32; 2], raw: &mut Vec<u8>) -> tiff::TiffResult<u32> {
        let rows = self.piece[1].min(height - self.done);
        let bytes = usize::from(self.channels) * if self.wide { 2 } else { 1 };
        raw.resize(rows as usize * width as usize * bytes, 0);
        let first = self.done / self.piece[1] * self.across;
        for column in 0..self.across {
            let (number, left) = (first + column, column as usize * self.piece[0] as usize * bytes);
            let columns = self.piece[0].min(width - column * self.piece[0]);
            let piece = match self.decoder.read_chunk(number)? {
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

type Streamed = Option<([u32; 2], Rows)>;

/// Nothing for a PNG whose rows do not come in order.
fn png_rows(path: &Path) -> Result<Streamed, Error> {
    let failed = |source| undecodable(path, source);
    let mut decoder = png::Decoder::new(open(path)?);
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let reader = Box::new(decoder.read_info().map_err(|source| failed(of_png(source)))?);
    let size = [reader.info().height, reader.info().width];
    sides(size).map_err(failed)?;
    let channels = reader.output_color_type().0.samples() as u8;
    Ok((!reader.info().interlaced).then_some((size, Rows::Png { reader, channels })))
}

/// Nothing for a TIFF of an unusual kind.
fn tiff_rows(path: &Path) -> Result<Streamed, Error> {
    let tiff = |source| undecodable(path, of_tiff(source));
    let mut decoder = tiff::decoder::Decoder::new(open(path)?).map_err(tiff)?;
    let (width, height) = decoder.dimensions().map_err(tiff)?;
    sides([height, width]).map_err(|source| undecodable(path, source))?;
    let (channels, bits) = match decoder.colortype().map_err(tiff)? {
        ColorType::Gray(bits) => (1, bits),
        ColorType::GrayA(bits) => (2, bits),
        ColorType::RGB(bits) => (3, bits),
        ColorType::RGBA(bits) => (4, bits),
        _ => return Ok(None),
    };
    let piece: [u32; 2] = decoder.chunk_dimensions().into();
    let [columns, rows] = piece.map(|side| side.min(LARGEST_SIDE));
    let across = width.div_ceil(columns.max(1));
    let bytes = u64::from(across * columns) * u64::from(rows) * u64::from(channels) * u64::from(bits / 8);
    if !matches!(bits, 8 | 16) || bytes == 0 || bytes > LARGEST_STRIP || is_planar(&mut decoder) {
        return Ok(None);
    }
    let tiff = Tiff { decoder, piece, across, channels, wide: bits == 16, done: 0 };
    Ok(Some(([height, width], Rows::Tiff(Box::new(tiff)))))
}

/// Whether each channel lies apart.
fn is_planar(decoder: &mut tiff::decoder::Decoder<BufReader<File>>) -> bool {
    let found = decoder.find_tag_unsigned::<u16>(tiff::tags::Tag::PlanarConfiguration);
    found.map_or(true, |planar| planar.is_some_and(|planar| planar != 1))
}

fn sides(size: [u32; 2]) -> Result<(), ImageError> {
    if size.iter().all(|side| (1..=LARGEST_SIDE).contains(side)) { Ok(()) } else { Err(too_large()) }
}

fn of_png(source: png::DecodingError) -> ImageError {
    match source {
        png::DecodingError::LimitsExceeded => too_large(),
        source => failed(ImageFormat::Png, source),
    }
}

fn of_tiff(source: tiff::TiffError) -> ImageError {
    match source {
        tiff::TiffError::LimitsExceeded => too_large(),
        source => failed(ImageFormat::Tiff, source),
    }
}

#[cfg(test)]
mod tests;
