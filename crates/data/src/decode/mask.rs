//! Decodes mask files to class ids, without rounding, scaling or smoothing: a neighbouring value is another class.

use super::colors::{WIDE_COLORS, of_bytes};
use super::file::open;
use super::found::Found;
use super::part;
use super::problem::{MOST_MEMORY, Problem, fits};
use super::tiff::Tiff;
use super::turn::Turn;
use super::{kind, note, other, png, wide};
use crate::error::Error;
use crate::label::pixel::Label;
use crate::label::table::{LabelTable, Place};
use crate::load::pixels;
use crate::transform::resize::Rectangle;
use image::ImageFormat;
use raster::{Depth, Element, Options, Pixels, Raster};
use std::io::{BufRead, Cursor};
use std::path::Path;

/// Decodes the mask in `file` into class ids, as stored, and returns their height and width and the turn that brings
/// them upright.
pub(super) fn decode(
    file: &[u8],
    path: &Path,
    labels: &LabelTable,
    raw: &mut Vec<u8>,
    ids: &mut Vec<u8>,
) -> Result<([u32; 2], Turn), Error> {
    let refused = |problem: &str| Error::MaskFormat { path: path.into(), problem: problem.into() };
    let broken = |problem: Problem| problem.of(path);
    let format = kind::format(file).map_err(broken)?;
    match format {
        ImageFormat::Png => {
            return Ok((png::decode(file, path, labels, raw, ids)?, note::of_bytes(format, file)));
        }
        ImageFormat::Tiff => {
            let tiff = Tiff::open(Cursor::new(file)).map_err(broken)?;
            let turn = tiff.turn;
            return Ok((tiff.mask(path, labels, raw, ids)?, turn));
        }
        ImageFormat::Jpeg => return Err(refused("is a JPEG, and JPEG changes values: store masks as PNG")),
        ImageFormat::WebP if !is_lossless(file) => {
            return Err(refused("is a lossy WebP, which changes values: store masks as PNG or as lossless WebP"));
        }
        _ => {}
    }
    let (Found { size, channels, wide, .. }, turn) = other::decode(file, format, 1, raw).map_err(broken)?;
    let place = Place { path, width: size[1] };
    match (channels, wide) {
        (1, false) => {
            std::mem::swap(raw, ids);
            labels.translate(ids, |value| Label::Value(value.into()), place)?;
        }
        (channels, false) => of_bytes(channels, raw, labels, ids, place)?,
        (_, true) => return Err(refused(WIDE_COLORS)),
    }
    debug_assert_eq!(ids.len(), pixels(size));
    Ok((size, turn))
}

/// Reads the mask at `path`, of a kind that only the crate `raster` reads, into class ids, and returns its height and
/// width.
pub(super) fn of_numbers(path: &Path, labels: &LabelTable, ids: &mut Vec<u8>) -> Result<[u32; 2], Error> {
    let mut mask = opened(path)?;
    let (size, bands) = (mask.info().size, mask.info().bands);
    if bands != 1 {
        let problem = format!("has {bands} bands, and a mask has one: save its labels as one band");
        return Err(Error::MaskFormat { path: path.into(), problem });
    }
    let [height, width] = size;
    read_part(&mut mask, path, labels, Rectangle { top: 0, left: 0, height, width }, ids)?;
    Ok(size)
}

/// Reads a part of the mask at `path` into class ids, and returns height and width of the whole mask. `None` where it
/// is no TIFF of one band whose numbers are labels.
pub(super) fn part_of_numbers(
    path: &Path,
    labels: &LabelTable,
    part: Rectangle,
    ids: &mut Vec<u8>,
) -> Result<Option<[u32; 2]>, Error> {
    let mut reader = open(part::file(path))?;
    let start = reader.fill_buf().map_err(|source| Error::Io { path: path.into(), source })?;
    let is_tiff = kind::known(start) == Some(ImageFormat::Tiff);
    if labels.has_colors() || !is_tiff && !wide::only_raster(path, start) {
        return Ok(None);
    }
    let mut mask = opened(path)?;
    let (size, turned) = (mask.info().size, mask.info().orientation > 1);
    let fits = part.top + part.height <= size[0] && part.left + part.width <= size[1];
    if mask.info().bands != 1 || turned {
        return Ok(None);
    }
    if fits {
        read_part(&mut mask, path, labels, part, ids)?;
    }
    Ok(Some(size))
}

fn opened(path: &Path) -> Result<Raster, Error> {
    let (file, options) = part::split(path);
    let options = Options { raw: true, ..options };
    Ok(Raster::open_with(file, &options)?)
}

fn read_part(
    mask: &mut Raster,
    path: &Path,
    labels: &LabelTable,
    Rectangle { top, left, height, width }: Rectangle,
    ids: &mut Vec<u8>,
) -> Result<(), Error> {
    fits([height, width], size_of::<f32>() as u64, MOST_MEMORY).map_err(|problem| problem.of(path))?;
    let mut numbers = Pixels::default();
    mask.window([top, left], [height, width], &[0], Depth::F32, &mut numbers)?;
    let numbers = f32::of(&numbers).unwrap_or_default();
    if let Some(pixel) = numbers.iter().position(|number| number.fract() != 0.0) {
        let (row, column) = (top as usize + pixel / width as usize, left as usize + pixel % width as usize);
        let problem = format!("holds {} at row {row}, column {column}, and labels are whole numbers", numbers[pixel]);
        return Err(Error::MaskFormat { path: path.into(), problem });
    }
    labels.look_up_numbers(numbers.iter().map(|number| *number as i64), ids, Place { path, width })
}

/// Returns whether the image of a WebP file is lossless: if a chunk `VP8L` comes before any `VP8 `. The frames of
/// animations are nested chunks, and are not masks.
fn is_lossless(webp: &[u8]) -> bool {
    let mut rest = webp.get(12..).unwrap_or_default();
    while let [a, b, c, d, length @ ..] = rest
        && let Some(length) = length.first_chunk()
    {
        match &[*a, *b, *c, *d] {
            b"VP8L" => return true,
            b"VP8 " => return false,
            // The length excludes the chunk's header and its padding byte.
            _ => {
                let length = u32::from_le_bytes(*length) as usize;
                rest = rest.get(length.saturating_add(8 + length % 2)..).unwrap_or_default();
            }
        }
    }
    false
}
