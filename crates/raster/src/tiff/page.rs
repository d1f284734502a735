//! Facts of a page, and the kinds of pages that are refused.

use super::codec::Codec;
use super::ifd::{Container, Directory};
use crate::error::{Problem, damaged, refused};
use crate::info::Colors;
use crate::number::{Kind, Stored};

/// Numbers of tags.
pub(crate) mod tag {
    pub(crate) const SUBFILE: u16 = 254;
    pub(crate) const WIDTH: u16 = 256;
    pub(crate) const HEIGHT: u16 = 257;
    pub(crate) const BITS: u16 = 258;
    pub(crate) const COMPRESSION: u16 = 259;
    pub(crate) const PHOTOMETRIC: u16 = 262;
    pub(crate) const FILL_ORDER: u16 = 266;
    pub(crate) const DESCRIPTION: u16 = 270;
    pub(crate) const STRIP_OFFSETS: u16 = 273;
    pub(crate) const ORIENTATION: u16 = 274;
    pub(crate) const SAMPLES: u16 = 277;
    pub(crate) const STRIP_ROWS: u16 = 278;
    pub(crate) const STRIP_BYTES: u16 = 279;
    pub(crate) const PLANAR: u16 = 284;
    pub(crate) const PREDICTOR: u16 = 317;
    pub(crate) const PALETTE: u16 = 320;
    pub(crate) const TILE_WIDTH: u16 = 322;
    pub(crate) const TILE_HEIGHT: u16 = 323;
    pub(crate) const TILE_OFFSETS: u16 = 324;
    pub(crate) const TILE_BYTES: u16 = 325;
    pub(crate) const EXTRA: u16 = 338;
    pub(crate) const FORMAT: u16 = 339;
    pub(crate) const JPEG_TABLES: u16 = 347;
    pub(crate) const NO_DATA: u16 = 42_113;
}

/// Largest number of blocks of a page.
const MOST_BLOCKS: u64 = 1 << 24;

/// Rows that are read together of strips that are not compressed, in bytes.
const ROWS: u64 = 256 << 10;

/// A page, as its tags describe it.
pub(crate) struct Page {
    pub(crate) size: [u32; 2],
    /// Samples a pixel, as stored.
    pub(crate) samples: u32,
    pub(crate) bits: u8,
    pub(crate) kind: Kind,
    pub(crate) codec: Codec,
    /// 1 (none), 2 (differences) or 3 (floats).
    pub(crate) predictor: u8,
    /// True if each band is stored apart.
    pub(crate) planar: bool,
    /// True if the lowest bit of a byte comes first.
    pub(crate) reversed: bool,
    pub(crate) white_is_zero: bool,
    pub(crate) ycbcr: bool,
    pub(crate) colors: Colors,
    pub(crate) alpha: Option<u32>,
    /// Colours of the palette, three bytes each.
    pub(crate) palette: Option<Vec<u8>>,
    pub(crate) orientation: u8,
    pub(crate) no_data: Option<f64>,
    pub(crate) tables: Option<Vec<u8>>,
    /// Height and width of a stored block.
    pub(crate) stored_block: [u32; 2],
    /// Height and width of a block that is decoded: part of a strip that is not compressed.
    pub(crate) block: [u32; 2],
    pub(crate) tiled: bool,
    /// Place and bytes of each stored block.
    pub(crate) places: Vec<[u64; 2]>,
}

impl Page {
    /// Returns the kind of the numbers.
    pub(crate) fn stored(&self) -> Stored {
        if self.palette.is_some() { Stored::U8 } else { Stored { kind: self.kind, bits: self.bits } }
    }

    /// Returns the samples that lie side by side in a stored block.
    pub(crate) fn together(&self) -> u32 {
        if self.planar { 1 } else { self.samples }
    }

    /// Returns the bytes of a row of a stored block.
    pub(crate) fn row_bytes(&self) -> u64 {
        (u64::from(self.stored_block[1]) * u64::from(self.together()) * u64::from(self.bits)).div_ceil(8)
    }

    /// Returns the number of stored blocks down and across.
    pub(crate) fn blocks(&self) -> [u64; 2] {
        [0, 1].map(|axis| u64::from(self.size[axis].div_ceil(self.stored_block[axis])))
    }

    /// Reads the tags of a page. `raw` leaves the palette's indexes and white-is-zero as they are.
    pub(crate) fn read(file: &mut Container, page: &Directory, raw: bool) -> Result<Self, Problem> {
        let side = |file: &mut Container, tag, name: &str| match file.number(page, tag, 0)? {
            length @ 1..=0x7fff_ffff => Ok(length as u32),
            length => damaged(format!("its {name} is {length}")),
        };
        let size = [side(file, tag::HEIGHT, "height")?, side(file, tag::WIDTH, "width")?];
        let samples = match file.number(page, tag::SAMPLES, 1)? {
            samples @ 1..=65_535 => samples as u32,
            samples => return damaged(format!("it has {samples} samples a pixel")),
        };
        let codec = Codec::of(file.number(page, tag::COMPRESSION, 1)?)?;
        let stored = number(file, page, samples)?;
        let predictor = predictor(file, page, codec, stored)?;
        let planar = match file.number(page, tag::PLANAR, 1)? {
            1 => false,
            2 => samples > 1,
            other => return damaged(format!("its planar configuration is {other}, which is neither 1 nor 2")),
        };
        let extra = file.numbers(page, tag::EXTRA, samples.into())?.unwrap_or_default();
        let photometric = file.number(page, tag::PHOTOMETRIC, 1)?;
        let colors = colors(photometric, samples, codec, planar)?;
        if codec == Codec::Jpeg && stored != Stored::U8 {
            return refused(format!(
                "is a TIFF with JPEG of {stored} numbers, which is not read: save it with DEFLATE \
                 (gdal_translate -co COMPRESS=DEFLATE)"
            ));
        }
        let palette = if photometric == 3 && !raw { Some(palette(file, page, stored, samples)?) } else { None };
        let before = samples.saturating_sub(extra.len() as u32);
        let alpha = extra.iter().position(|meaning| matches!(meaning, 1 | 2)).map(|index| before + index as u32);
        let no_data = file.bytes(page, tag::NO_DATA, 256)?.and_then(|text| {
            let text = String::from_utf8_lossy(&text);
            text.trim_matches(|letter: char| letter == '\0' || letter.is_whitespace()).parse().ok()
        });
        let (tiled, stored_block) = layout(file, page, size)?;
        let mut found = Self {
            size,
            samples,
            bits: stored.bits,
            kind: stored.kind,
            codec,
            predictor,
            planar,
            reversed: file.number(page, tag::FILL_ORDER, 1)? == 2,
            white_is_zero: photometric == 0 && stored.kind == Kind::Unsigned && !raw,
            ycbcr: photometric == 6,
            colors: if palette.is_some() { Colors::Rgb } else { colors },
            alpha,
            palette,
            orientation: u8::try_from(file.number(page, tag::ORIENTATION, 1)?).unwrap_or(1).clamp(1, 8),
            no_data,
            tables: file.bytes(page, tag::JPEG_TABLES, 1 << 20)?,
            stored_block,
            block: stored_block,
            tiled,
            places: Vec::new(),
        };
        found.places = found.places(file, page)?;
        if found.codec == Codec::None && !found.tiled {
            found.block[0] = found.rows_together();
        }
        Ok(found)
    }

    /// Returns the places of the stored blocks.
    fn places(&self, file: &mut Container, page: &Directory) -> Result<Vec<[u64; 2]>, Problem> {
        let planes = if self.planar { self.samples } else { 1 };
        let [down, across] = self.blocks();
        let count = down.saturating_mul(across).saturating_mul(planes.into());
        if count > MOST_BLOCKS {
            return refused(format!(
                "is a TIFF of {count} strips or tiles, and {MOST_BLOCKS} are the most: save it in larger ones \
                 (gdal_translate -co TILED=YES)"
            ));
        }
        let (offsets, bytes) =
            if self.tiled { (tag::TILE_OFFSETS, tag::TILE_BYTES) } else { (tag::STRIP_OFFSETS, tag::STRIP_BYTES) };
        let at = file.numbers(page, offsets, count)?.unwrap_or_default();
        let length = match file.numbers(page, bytes, count)? {
            Some(length) => length,
            // Old writers leave them out where nothing is compressed.
            None if self.codec == Codec::None => {
                let rows = u64::from(self.stored_block[0]);
                let last = if self.tiled { rows } else { u64::from(self.size[0]) - (down - 1) * rows };
                let of = |index: u64| if index % down == down - 1 { last } else { rows };
                (0..count).map(|index| self.row_bytes().saturating_mul(of(index))).collect()
            }
            None => Vec::new(),
        };
        if at.len() as u64 != count || length.len() as u64 != count {
            return damaged(format!(
                "it has the places of {} and the lengths of {} strips or tiles, and {count} are needed",
                at.len(),
                length.len()
            ));
        }
        Ok(at.into_iter().zip(length).map(|(at, length)| [at, length]).collect())
    }

    /// Returns a divisor of a strip's rows, so that a strip that holds the image is not read as one.
    fn rows_together(&self) -> u32 {
        let rows = self.stored_block[0];
        let most = u32::try_from(ROWS / self.row_bytes().max(1)).unwrap_or(u32::MAX).clamp(1, rows);
        if self.blocks()[0] == 1 {
            return most;
        }
        (1..=most).rev().take(4096).find(|divisor| rows % divisor == 0).unwrap_or(1)
    }
}

/// Returns the kind of the stored numbers, which is that of all bands.
fn number(file: &mut Container, page: &Directory, samples: u32) -> Result<Stored, Problem> {
    let all = |file: &mut Container, tag, usual, name: &str| -> Result<u64, Problem> {
        let numbers = file.numbers(page, tag, samples.into())?.unwrap_or_default();
        let first = numbers.first().copied().unwrap_or(usual);
        if let Some(other) = numbers.iter().find(|number| **number != first) {
            return refused(format!(
                "is a TIFF whose bands differ in their {name} ({first} and {other}), which is not read: save it with \
                 one kind of numbers (gdal_translate -ot Float32)"
            ));
        }
        Ok(first)
    };
    let bits = all(file, tag::BITS, 1, "bits")?;
    let kind = match all(file, tag::FORMAT, 1, "format of numbers")? {
        1 | 4 => Kind::Unsigned,
        2 => Kind::Signed,
        3 => Kind::Float,
        5 | 6 => return refused("is a TIFF of complex numbers, which is not read: save their magnitude"),
        other => return damaged(format!("its format of numbers is {other}, and 1 to 6 are known")),
    };
    let stored = Stored { kind, bits: u8::try_from(bits).unwrap_or(u8::MAX) };
    match stored.cell() {
        Some(_) => Ok(stored),
        None => refused(format!(
            "is a TIFF of {kind:?} numbers of {bits} bits, which is not read: save it with another kind of numbers \
             (gdal_translate -ot Float32)"
        )),
    }
}

fn predictor(file: &mut Container, page: &Directory, codec: Codec, stored: Stored) -> Result<u8, Problem> {
    // libtiff: other compressions have none, whatever the tag says.
    if !matches!(codec, Codec::Lzw | Codec::Deflate | Codec::Zstd) {
        return Ok(1);
    }
    match (file.number(page, tag::PREDICTOR, 1)?, stored.kind, stored.bits) {
        (1, ..) => Ok(1),
        (2, _, 8 | 16 | 32 | 64) => Ok(2),
        (3, Kind::Float, _) => Ok(3),
        (predictor, ..) => refused(format!(
            "is a TIFF with the predictor {predictor} on {stored} numbers, which is not read: save it without \
             (gdal_translate -co PREDICTOR=1)"
        )),
    }
}

fn colors(photometric: u64, samples: u32, codec: Codec, planar: bool) -> Result<Colors, Problem> {
    let least = |least, colors| {
        if samples < least {
            return damaged(format!("it has {samples} samples a pixel, and its colours need {least}"));
        }
        Ok(colors)
    };
    let name = match photometric {
        0 | 1 | 4 | 32_803 => return Ok(Colors::Plain),
        2 => return least(3, Colors::Rgb),
        3 => return Ok(Colors::Plain),
        5 => return Ok(if samples >= 4 { Colors::Cmyk } else { Colors::Plain }),
        6 if codec == Codec::Jpeg && samples == 3 && !planar => return Ok(Colors::Rgb),
        6 => "YCbCr colours that are not compressed with JPEG",
        8..=10 => "L*a*b* colours",
        32_844 | 32_845 => "LogLuv colours",
        34_892 => return Ok(Colors::Plain),
        _ => return refused(format!("is a TIFF of the unknown colours {photometric}: save it as RGB or grey")),
    };
    refused(format!("is a TIFF of {name}, which is not read: save it as RGB (tiff2rgba, or ImageMagick)"))
}

/// Returns the palette, three bytes a colour: the high byte of each 16-bit number, like Pillow and libtiff.
fn palette(file: &mut Container, page: &Directory, stored: Stored, samples: u32) -> Result<Vec<u8>, Problem> {
    if samples != 1 || stored.kind != Kind::Unsigned || stored.bits > 8 {
        return refused(format!(
            "is a TIFF with a palette, {samples} samples a pixel and {stored} numbers, which is not read: save it as \
             RGB (gdal_translate -expand rgb)"
        ));
    }
    let count = 1_usize << stored.bits;
    let numbers = file.numbers(page, tag::PALETTE, 3 * count as u64)?.unwrap_or_default();
    if numbers.len() != 3 * count {
        return damaged(format!("its palette has {} numbers, and {} are needed", numbers.len(), 3 * count));
    }
    // Old writers store bytes.
    let shift = if numbers.iter().any(|number| *number > 255) { 8 } else { 0 };
    Ok((0..count).flat_map(|index| [0, 1, 2].map(|color| (numbers[color * count + index] >> shift) as u8)).collect())
}

/// Returns true for tiles and false for strips, and the height and width of one.
fn layout(file: &mut Container, page: &Directory, size: [u32; 2]) -> Result<(bool, [u32; 2]), Problem> {
    if page.has(tag::TILE_WIDTH) || page.has(tag::TILE_OFFSETS) {
        let block = [file.number(page, tag::TILE_HEIGHT, 0)?, file.number(page, tag::TILE_WIDTH, 0)?];
        if block.iter().any(|side| !(1..=1 << 24).contains(side)) {
            return damaged(format!("its tiles have {} x {} pixels", block[0], block[1]));
        }
        return Ok((true, block.map(|side| side as u32)));
    }
    let rows = file.number(page, tag::STRIP_ROWS, u32::MAX.into())?;
    if rows == 0 {
        return damaged("its strips have 0 rows");
    }
    Ok((false, [rows.min(size[0].into()) as u32, size[1]]))
}
