//! Decodes mask files to class ids, without rounding, scaling or smoothing: a neighbouring value is another class.

use super::other::Found;
use super::problem::Problem;
use super::tiff::Tiff;
use super::turn::Turn;
use super::{kind, note, other, png};
use crate::classes::Color;
use crate::dataset::pixels;
use crate::error::Error;
use crate::labels::{Label, LabelTable, Place};
use image::ImageFormat;
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

/// The reason to refuse a mask of 16-bit colours.
pub(super) const WIDE_COLORS: &str = "has colours of 16 bits a channel, which labels do not have: store it with 8";

/// Turns pixels of 2 to 4 bytes (grey and alpha, RGB, RGBA) into class ids; alpha is ignored.
pub(super) fn of_bytes(
    channels: u8,
    raw: &[u8],
    labels: &LabelTable,
    ids: &mut Vec<u8>,
    place: Place,
) -> Result<(), Error> {
    let color = |rgb| Label::Color(Color(rgb));
    match channels {
        2 => labels.look_up(raw.as_chunks().0.iter().map(|&[grey, _]| color([grey; 3])), ids, place),
        3 => labels.look_up(raw.as_chunks().0.iter().map(|&rgb| color(rgb)), ids, place),
        _ => {
            labels.look_up(raw.as_chunks().0.iter().map(|&[red, green, blue, _]| color([red, green, blue])), ids, place)
        }
    }
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
