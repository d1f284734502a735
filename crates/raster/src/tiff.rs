//! TIFF and GeoTIFF, classic and BigTIFF. Containers, predictors and bits are read here; compressions are other
//! crates'.
//!
//! `tiff` leaves out bands, asserts, and knows neither palettes nor 12 bits; `tiff-reader` maps files into memory,
//! where one that is cut while it is read kills the process.

mod codec;
mod ifd;
mod jpeg;
mod page;
pub(crate) mod write;

use self::codec::Codec;
use self::ifd::{Container, Directory};
use self::jpeg::Shape;
use self::page::{Page, tag};
use crate::cache::{At, Blocks};
use crate::error::{Problem, asked, damaged, refused};
use crate::geo::{self, Geo};
use crate::info::Info;
use crate::number::Cell;
use crate::opened::Opened;
use crate::options::Options;
use crate::samples;
use crate::source::Source;
use crate::window::Grid;

/// Opens the page that the options choose, or all of them as bands.
pub(crate) fn open(source: Source, options: &Options) -> Result<Opened, Problem> {
    let mut file = Container::open(source)?;
    let directories = file.directories()?;
    let mut pictures = Vec::new();
    for (index, directory) in directories.iter().enumerate() {
        // Bit 0: a smaller copy. Bit 2: a mask.
        if file.number(directory, tag::SUBFILE, 0)? & 5 == 0 {
            pictures.push(index);
        }
    }
    if pictures.is_empty() {
        pictures = (0..directories.len()).collect();
    }
    let count = pictures.len() as u32;
    stacked(&mut file, &directories[pictures[0]], count)?;
    let chosen = match (options.pages_as_bands, pictures.get(options.page as usize)) {
        (true, _) if options.page > 0 => return asked("either one page is chosen or all are taken as bands"),
        (true, _) => pictures,
        (false, Some(index)) => vec![*index],
        (false, None) => {
            return asked(format!("it has {count} pages, counted from 0: there is no page {}", options.page));
        }
    };
    let mut pages = Vec::new();
    for index in &chosen {
        pages.push(Page::read(&mut file, &directories[*index], options.raw)?);
    }
    let first = &pages[0];
    let alike = |page: &Page| {
        (page.size, page.stored(), page.samples, page.planar, page.block, page.palette.is_some())
            == (first.size, first.stored(), first.samples, first.planar, first.block, first.palette.is_some())
    };
    if let Some(index) = pages.iter().position(|page| !alike(page)) {
        return refused(format!(
            "is a TIFF whose page {index} differs from the first in size, bands, kind of numbers or strips: its pages \
             cannot be the bands of one image"
        ));
    }
    let stored = first.stored();
    let Some(cell) = stored.cell() else { return damaged(format!("its numbers are of {} bits", first.bits)) };
    let each = if first.palette.is_some() { 3 } else { first.samples };
    let (planes, samples) = if first.planar { (first.samples, 1) } else { (1, each) };
    let Some(bands) = each.checked_mul(pages.len() as u32).filter(|bands| *bands <= 65_535) else {
        return refused("has more than 65,535 bands");
    };
    let geo = place(&mut file, &directories[chosen[0]])?;
    let info = Info {
        no_data: first.no_data,
        pages: count,
        colors: first.colors,
        alpha: first.alpha,
        orientation: first.orientation,
        geo,
        ..Info::plain("TIFF", first.size, bands, stored)
    };
    let grid = Grid { size: first.size, block: first.block, samples, cell, scale: None };
    let decoder = Tiff { file, pages, planes, grid, unpacked: Vec::new() };
    Ok(Opened { info, grid, decoder: Box::new(decoder) })
}

/// Refuses ImageJ's stacks of more than 4 GB, which have a directory for the first picture alone.
fn stacked(file: &mut Container, first: &Directory, count: u32) -> Result<(), Problem> {
    let text = file.bytes(first, tag::DESCRIPTION, 4096)?.unwrap_or_default();
    if !text.starts_with(b"ImageJ=") {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&text);
    let images = text.lines().find_map(|line| line.strip_prefix("images=")?.trim().parse::<u32>().ok());
    match images {
        Some(images) if images > count => refused(format!(
            "is a stack of ImageJ with {images} pictures and directories of {count}: save it as BigTIFF (Bio-Formats \
             exporter, or tifffile: imwrite(path, imread(path), bigtiff=True))"
        )),
        _ => Ok(()),
    }
}

/// Reads a page's place on earth.
fn place(file: &mut Container, page: &Directory) -> Result<Option<Geo>, Problem> {
    let scale = file.floats(page, geo::tag::SCALE, 3)?;
    let tie = file.floats(page, geo::tag::TIE_POINTS, 6)?;
    let matrix = file.floats(page, geo::tag::MATRIX, 16)?;
    let keys = match file.numbers(page, geo::tag::DIRECTORY, 1 << 16)? {
        Some(directory) => Some(geo::GeoKeys {
            directory: directory.iter().map(|number| *number as u16).collect(),
            doubles: file.floats(page, geo::tag::DOUBLES, 1 << 16)?.unwrap_or_default(),
            text: file.bytes(page, geo::tag::TEXT, 1 << 16)?.unwrap_or_default(),
        }),
        None => None,
    };
    Ok(Geo::of_tags(scale.as_deref(), tie.as_deref(), matrix.as_deref(), keys))
}

struct Tiff {
    file: Container,
    pages: Vec<Page>,
    /// Planes of a page.
    planes: u32,
    grid: Grid,
    unpacked: Vec<u8>,
}

impl Blocks for Tiff {
    fn decode(&mut self, at: At, into: &mut Vec<u8>) -> Result<(), Problem> {
        let Some(page) = self.pages.get((at.plane / self.planes) as usize) else {
            return damaged(format!("it has no plane {}", at.plane));
        };
        let first = at.row * page.block[0];
        let (stored, skipped) = (first / page.stored_block[0], first % page.stored_block[0]);
        let [down, across] = page.blocks();
        let index = u64::from(at.plane % self.planes) * down * across + u64::from(stored) * across;
        let Some(&[place, length]) = page.places.get(index as usize + at.column as usize) else {
            return damaged(format!("it has no block at row {}, column {}", at.row, at.column));
        };
        let rows = if page.tiled { page.block[0] } else { page.block[0].min(page.size[0] - first) };
        if length == 0 {
            let pixels = rows as usize * page.block[1] as usize;
            let value = page.no_data.filter(|_| page.palette.is_none()).unwrap_or_default();
            *into = self.grid.cell.encode(value).repeat(pixels * self.grid.samples as usize);
            return Ok(());
        }
        let located = |problem| match problem {
            Problem::Damaged(what) => {
                Problem::Damaged(format!("{what} (block at row {}, column {})", at.row, at.column))
            }
            other => other,
        };
        let row_bytes = page.row_bytes();
        let expected = u64::from(rows) * row_bytes;
        let (place, length) = if page.codec == Codec::None {
            let before = u64::from(skipped) * row_bytes;
            if before + expected > length {
                return damaged(format!(
                    "a strip or tile of {length} bytes is too short for its pixels (block at row {}, column {})",
                    at.row, at.column
                ));
            }
            (place.saturating_add(before), expected)
        } else {
            (place, length)
        };
        let mut packed = std::mem::take(&mut self.unpacked);
        self.file.source.read_into(place, length, &mut packed).map_err(located)?;
        if page.reversed && page.codec != Codec::Jpeg {
            packed.iter_mut().for_each(|byte| *byte = byte.reverse_bits());
        }
        let shape = Shape {
            width: page.block[1] as usize,
            rows: rows as usize,
            samples: page.together() as usize,
            ycbcr: page.ycbcr,
        };
        codec::unpack(page.codec, &mut packed, expected as usize, page.tables.as_deref(), shape, into)
            .map_err(located)?;
        self.numbers(at, rows as usize, packed, into)
    }
}

impl Tiff {
    /// Makes numbers of unpacked bytes. `spare` is memory to use.
    fn numbers(&mut self, at: At, rows: usize, mut spare: Vec<u8>, into: &mut Vec<u8>) -> Result<(), Problem> {
        let page = &self.pages[(at.plane / self.planes) as usize];
        let (line, step) = (page.row_bytes() as usize, page.together() as usize);
        let cell = if page.palette.is_some() { Cell::U8 } else { self.grid.cell };
        let bytes = cell.bytes();
        if usize::from(page.bits) != 8 * bytes {
            spare.clear();
            samples::unpack(into, page.bits, page.block[1] as usize * step, rows, &mut spare);
            std::mem::swap(into, &mut spare);
        } else if page.predictor == 3 {
            into.chunks_exact_mut(line).for_each(|row| samples::join_floats(row, bytes, step, &mut spare));
        } else {
            self.file.endian.to_native(into, bytes);
            if page.predictor == 2 {
                into.chunks_exact_mut(line).for_each(|row| samples::add_up(row, bytes, step));
            }
        }
        if page.white_is_zero {
            samples::invert(into, page.bits, bytes);
        }
        if let Some(palette) = &page.palette {
            spare.clear();
            if let Some(index) = samples::expand(into, palette, 3, &mut spare) {
                return damaged(format!("a pixel has the colour {index}, which its palette lacks"));
            }
            std::mem::swap(into, &mut spare);
        }
        self.unpacked = spare;
        Ok(())
    }
}
