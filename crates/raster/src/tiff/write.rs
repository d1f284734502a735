//! Writing GeoTIFF row by row: strips or tiles, deflated.

use super::page::tag;
use crate::geo::{Geo, tag as geo};
use crate::info::Colors;
use crate::pixels::{Depth, Pixels};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use std::io::{self, Seek, SeekFrom, Write};

/// Bytes that a classic TIFF may come to; its offsets have 32 bits.
const MOST_CLASSIC: u64 = 4_000_000_000;

/// Bytes of a strip, before compression.
const STRIP: u64 = 256 << 10;

/// Division of a written TIFF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Rows over the whole width.
    Strips,
    /// Squares of so many pixels a side, a multiple of 16, which windows are read from fastest.
    Tiles(u32),
}

/// Form of a TIFF that is written.
#[derive(Debug, Clone, PartialEq)]
pub struct TiffSettings {
    /// Height and width.
    pub size: [u32; 2],
    /// Number of bands.
    pub bands: u32,
    /// Kind of the numbers.
    pub depth: Depth,
    /// Place on earth.
    pub geo: Option<Geo>,
    /// Value of pixels without data.
    pub no_data: Option<f64>,
    /// Meaning of the first bands: `Rgb` needs three.
    pub colors: Colors,
    /// Strips or tiles.
    pub layout: Layout,
}

impl TiffSettings {
    /// Creates settings without a place, in tiles of 256 pixels.
    pub fn new(size: [u32; 2], bands: u32, depth: Depth) -> Self {
        let (colors, layout) = (Colors::Plain, Layout::Tiles(256));
        Self { size, bands, depth, geo: None, no_data: None, colors, layout }
    }
}

/// TIFF that could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The system could not write.
    #[error("cannot write the TIFF: {0}")]
    Write(#[from] io::Error),
    /// The settings or the rows do not suit a TIFF, or each other.
    #[error("the TIFF cannot be written: {0}")]
    Asked(String),
}

/// Writer of a GeoTIFF, from the first row to the last. A BigTIFF is written where the file could pass 4 GB.
///
/// It holds one row of tiles, or one strip.
pub struct GeoTiffWriter<W: Write + Seek> {
    into: W,
    settings: TiffSettings,
    big: bool,
    /// Height and width of a block.
    block: [u32; 2],
    /// Rows that wait until the block is full, little-endian.
    waiting: Vec<u8>,
    rows: u32,
    /// Place behind what is written.
    end: u64,
    /// Place and bytes of each block.
    places: Vec<[u64; 2]>,
}

impl<W: Write + Seek> GeoTiffWriter<W> {
    /// Begins a file in `into`, which is empty.
    ///
    /// # Errors
    ///
    /// Fails if the settings suit no TIFF, or the system cannot write.
    pub fn new(into: W, settings: TiffSettings) -> Result<Self, WriteError> {
        Self::begin(into, settings, MOST_CLASSIC)
    }

    fn begin(mut into: W, settings: TiffSettings, most_classic: u64) -> Result<Self, WriteError> {
        let [height, width] = settings.size;
        let asked = |what: String| Err(WriteError::Asked(what));
        if settings.size.iter().any(|side| !(1..=0x7fff_ffff).contains(side)) {
            return asked(format!("an image of {height} x {width} pixels"));
        }
        if !(1..=65_535).contains(&settings.bands) || settings.colors == Colors::Rgb && settings.bands < 3 {
            return asked(format!("{} bands of the colours {:?}", settings.bands, settings.colors));
        }
        if settings.colors == Colors::Cmyk {
            return asked("inks: use Plain or Rgb".into());
        }
        let line = u64::from(width) * u64::from(settings.bands) * settings.depth.bytes() as u64;
        let block = match settings.layout {
            Layout::Strips => [u32::try_from(STRIP / line).unwrap_or(u32::MAX).clamp(1, height), width],
            Layout::Tiles(side) if side > 0 && side % 16 == 0 && side <= 1 << 14 => [side; 2],
            Layout::Tiles(side) => return asked(format!("tiles of {side} pixels: use a multiple of 16 up to 16,384")),
        };
        let blocks = [0, 1].map(|axis| u64::from(settings.size[axis].div_ceil(block[axis])));
        let count = blocks[0] * blocks[1];
        let padded = count.saturating_mul(u64::from(block[0]) * u64::from(block[1]));
        let pixel = u64::from(settings.bands) * settings.depth.bytes() as u64;
        // Deflate adds five bytes per 16 KiB at most, and each block has a header and two numbers of the directory.
        let most = padded.saturating_mul(pixel).saturating_mul(1001) / 1000 + 64 * count;
        let big = most > most_classic;
        let header: &[u8] = if big { b"II+\0\x08\0\0\0\0\0\0\0\0\0\0\0" } else { b"II*\0\0\0\0\0" };
        into.seek(SeekFrom::Start(0))?;
        into.write_all(header)?;
        let end = header.len() as u64;
        Ok(Self { into, settings, big, block, waiting: Vec::new(), rows: 0, end, places: Vec::new() })
    }

    /// Appends rows: `H×W×C` numbers of whole rows, in the settings' depth.
    ///
    /// # Errors
    ///
    /// Fails if they are of another depth, no whole rows or too many, or the system cannot write.
    pub fn rows(&mut self, rows: &Pixels) -> Result<(), WriteError> {
        let TiffSettings { size: [height, width], bands, depth, .. } = self.settings;
        let line = width as usize * bands as usize;
        let count = rows.len() / line;
        if rows.depth() != depth || rows.len() % line != 0 || count > (height - self.rows) as usize {
            return Err(WriteError::Asked(format!(
                "after {} of {height} rows come {} numbers of {:?}, and a row has {line} of {depth:?}",
                self.rows,
                rows.len(),
                rows.depth()
            )));
        }
        for row in 0..count {
            let part = row * line..(row + 1) * line;
            match rows {
                Pixels::U8(numbers) => self.waiting.extend_from_slice(&numbers[part]),
                Pixels::U16(numbers) => {
                    self.waiting.extend(numbers[part].iter().flat_map(|number| number.to_le_bytes()));
                }
                Pixels::F32(numbers) => {
                    self.waiting.extend(numbers[part].iter().flat_map(|number| number.to_le_bytes()));
                }
            }
            self.rows += 1;
            if self.rows % self.block[0] == 0 || self.rows == height {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Writes the rows that wait, as blocks.
    fn flush(&mut self) -> Result<(), WriteError> {
        let [_, width] = self.settings.size;
        let bytes = self.settings.depth.bytes();
        let pixel = self.settings.bands as usize * bytes;
        let line = width as usize * pixel;
        let tile_line = self.block[1] as usize * pixel;
        let waiting = std::mem::take(&mut self.waiting);
        let tall = if self.settings.layout == Layout::Strips { waiting.len() / line } else { self.block[0] as usize };
        let mut row = vec![0; tile_line];
        let mut spare = Vec::new();
        for column in 0..width.div_ceil(self.block[1]) as usize {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
            for index in 0..tall {
                row.fill(0);
                let start = index * line + column * tile_line;
                if let Some(from) = waiting.get(start..(start + tile_line).min((index + 1) * line)) {
                    row[..from.len()].copy_from_slice(from);
                }
                match self.settings.depth {
                    Depth::U8 => {}
                    Depth::U16 => differences(&mut row, pixel),
                    Depth::F32 => split_floats(&mut row, self.settings.bands as usize, &mut spare),
                }
                encoder.write_all(&row)?;
            }
            let packed = encoder.finish()?;
            self.into.write_all(&packed)?;
            self.places.push([self.end, packed.len() as u64]);
            self.end += packed.len() as u64;
        }
        self.waiting = waiting;
        self.waiting.clear();
        Ok(())
    }

    /// Writes the directory, which makes it a TIFF, and returns the writer, flushed.
    ///
    /// # Errors
    ///
    /// Fails if rows are missing, or the system cannot write.
    pub fn finish(mut self) -> Result<W, WriteError> {
        let height = self.settings.size[0];
        if self.rows < height {
            return Err(WriteError::Asked(format!("{} of its {height} rows were written", self.rows)));
        }
        let wide = if self.big { 8 } else { 4 };
        let mut table = Vec::new();
        let mut heap = Vec::new();
        if self.end % 2 == 1 {
            heap.push(0);
        }
        let tags = self.tags();
        for (tag, kind, values) in &tags {
            let size = match kind {
                2 => 1,
                3 => 2,
                4 => 4,
                _ => 8,
            };
            table.extend(tag.to_le_bytes());
            table.extend(kind.to_le_bytes());
            table.extend(&((values.len() / size) as u64).to_le_bytes()[..wide]);
            if values.len() <= wide {
                table.extend(values);
                table.resize(table.len() + wide - values.len(), 0);
            } else {
                table.extend(&(self.end + heap.len() as u64).to_le_bytes()[..wide]);
                heap.extend(values);
                heap.resize(heap.len().next_multiple_of(2), 0);
            }
        }
        let directory = self.end + heap.len() as u64;
        let count = &(tags.len() as u64).to_le_bytes()[..if self.big { 8 } else { 2 }];
        self.into.write_all(&[&heap, count, &table, &[0; 8][..wide]].concat())?;
        self.into.seek(SeekFrom::Start(if self.big { 8 } else { 4 }))?;
        self.into.write_all(&directory.to_le_bytes()[..wide])?;
        self.into.flush()?;
        Ok(self.into)
    }

    /// Returns number, type and values of the tags, in rising order.
    fn tags(&self) -> Vec<(u16, u16, Vec<u8>)> {
        let TiffSettings { size: [height, width], bands, depth, geo, no_data, colors, layout } = &self.settings;
        let short = |number: u16, count: u32| (3, number.to_le_bytes().repeat(count as usize));
        let long = |number: u32| (4, number.to_le_bytes().to_vec());
        let of_place = |which: usize| {
            let numbers = self.places.iter().map(|place| place[which]);
            if self.big {
                (16, numbers.flat_map(u64::to_le_bytes).collect())
            } else {
                (4, numbers.flat_map(|number| (number as u32).to_le_bytes()).collect::<Vec<u8>>())
            }
        };
        let (predictor, format) = match depth {
            Depth::U8 => (1, 1),
            Depth::U16 => (2, 1),
            Depth::F32 => (3, 3),
        };
        let (photometric, named) = if *colors == Colors::Rgb { (2, 3) } else { (1, 1) };
        let mut tags = vec![
            (256, long(*width)),
            (257, long(*height)),
            (258, short(8 * depth.bytes() as u16, *bands)),
            (259, short(8, 1)),
            (262, short(photometric, 1)),
            (277, short(*bands as u16, 1)),
            (284, short(1, 1)),
            (317, short(predictor, 1)),
            (339, short(format, *bands)),
        ];
        if *layout == Layout::Strips {
            tags.extend([(273, of_place(0)), (278, long(self.block[0])), (279, of_place(1))]);
        } else {
            tags.extend([(322, long(self.block[1])), (323, long(self.block[0]))]);
            tags.extend([(324, of_place(0)), (325, of_place(1))]);
        }
        if *bands > named {
            tags.push((338, short(0, bands - named)));
        }
        if let Some(geo) = geo {
            let doubles = |values: &[f64]| (12, values.iter().flat_map(|value| value.to_le_bytes()).collect());
            tags.extend(geo.tags().iter().map(|(tag, values)| (*tag, doubles(values))));
            if let Some(keys) = &geo.keys {
                let directory = keys.directory.iter().flat_map(|number| number.to_le_bytes()).collect();
                tags.push((geo::DIRECTORY, (3, directory)));
                if !keys.doubles.is_empty() {
                    tags.push((geo::DOUBLES, doubles(&keys.doubles)));
                }
                if !keys.text.is_empty() {
                    tags.push((geo::TEXT, (2, keys.text.clone())));
                }
            }
        }
        if let Some(value) = no_data {
            let text = if value.is_nan() { "nan".to_owned() } else { value.to_string() };
            tags.push((tag::NO_DATA, (2, [text.as_bytes(), &[0]].concat())));
        }
        tags.sort_by_key(|(tag, _)| *tag);
        tags.into_iter().map(|(tag, (kind, values))| (tag, kind, values)).collect()
    }
}

/// Applies predictor 2 to 16-bit numbers: each becomes its difference to the one a pixel before.
fn differences(row: &mut [u8], pixel: usize) {
    for at in (pixel..row.len()).step_by(2).rev() {
        let number = |at: usize| u16::from_le_bytes([row[at], row[at + 1]]);
        let difference = number(at).wrapping_sub(number(at - pixel)).to_le_bytes();
        row[at..at + 2].copy_from_slice(&difference);
    }
}

/// Applies predictor 3 to floats: the highest byte of all first, then differences of bytes.
fn split_floats(row: &mut [u8], bands: usize, spare: &mut Vec<u8>) {
    let count = row.len() / 4;
    spare.clear();
    spare.extend_from_slice(row);
    for (index, number) in spare.chunks_exact(4).enumerate() {
        for (place, byte) in number.iter().rev().enumerate() {
            row[place * count + index] = *byte;
        }
    }
    for at in (bands..row.len()).rev() {
        row[at] = row[at].wrapping_sub(row[at - bands]);
    }
}
