//! Decodes mask files to class ids, without rounding, scaling or smoothing: a neighbouring value is another class.

use super::colors::{WIDE_COLORS, of_bytes};
use super::found::Found;
use super::part;
use super::problem::{MOST_MEMORY, Problem, fits};
use super::tiff::Tiff;
use super::turn::Turn;
use super::{kind, note, other, png};
use crate::error::Error;
use crate::label::pixel::Label;
use crate::label::table::{LabelTable, Place};
use crate::load::pixels;
use image::ImageFormat;
use raster::{Depth, Element, Options, Pixels, Raster};
use std::io::Cursor;
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
    let (file, options) = part::split(path);
    let broken = |source| Error::Raster(Box::new(source));
    let mut raster = Raster::open_with(file, &Options { raw: true, ..options }).map_err(broken)?;
    let (size, bands) = (raster.info().size, raster.info().bands);
    let refused = |problem: String| Error::MaskFormat { path: path.into(), problem };
    if bands != 1 {
        return Err(refused(format!("has {bands} bands, and a mask has one: save its labels as one band")));
    }
    fits(size, size_of::<f32>() as u64, MOST_MEMORY).map_err(|problem| problem.of(path))?;
    let mut numbers = Pixels::default();
    raster.window([0, 0], size, &[0], Depth::F32, &mut numbers).map_err(broken)?;
    let numbers = f32::of(&numbers).unwrap_or_default();
    let place = Place { path, width: size[1] };
    if let Some(pixel) = numbers.iter().position(|number| number.fract() != 0.0) {
        let (number, row, column) = (numbers[pixel], pixel / size[1] as usize, pixel % size[1] as usize);
        return Err(refused(format!("holds {number} at row {row}, column {column}, and labels are whole numbers")));
    }
    labels.look_up_numbers(numbers.iter().map(|number| *number as i64), ids, place)?;
    Ok(size)
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
