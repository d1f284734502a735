//! Mask files to class ids. Nothing may be rounded, scaled or smoothed on the way: a neighbouring value is another class.

use super::{other, png, undecodable};
use crate::classes::Color;
use crate::dataset::pixels;
use crate::error::Error;
use crate::labels::{Label, LabelTable, Place};
use image::ImageFormat;
use std::path::Path;

/// See [`super::Decoder::mask`].
pub(super) fn decode(
    file: &[u8],
    path: &Path,
    labels: &LabelTable,
    raw: &mut Vec<u8>,
    ids: &mut Vec<u8>,
) -> Result<[u32; 2], Error> {
    let refused = |problem: &str| Error::MaskFormat { path: path.into(), problem: problem.into() };
    match image::guess_format(file).ok() {
        Some(ImageFormat::Png) => return png::decode(file, path, labels, raw, ids),
        Some(ImageFormat::Jpeg) => return Err(refused("is a JPEG, and JPEG changes values: store masks as PNG")),
        Some(ImageFormat::WebP) if !is_lossless(file) => {
            return Err(refused("is a lossy WebP, which changes values: store masks as PNG or as lossless WebP"));
        }
        _ => {}
    }
    let found = other::decode(file, raw).map_err(|source| undecodable(path, source))?;
    let place = Place { path, width: found.size[1] };
    match (found.channels, found.wide) {
        (1, false) => {
            std::mem::swap(raw, ids);
            labels.translate(ids, |value| Label::Value(value.into()), place)?;
        }
        (1 | 2, true) => {
            let values = raw.as_chunks().0.iter().map(|bytes| u16::from_ne_bytes(*bytes));
            labels.look_up(values.step_by(found.channels.into()).map(Label::Value), ids, place)?;
        }
        (_, true) => return Err(refused(WIDE_COLORS)),
        (channels, false) => of_bytes(channels, raw, labels, ids, place)?,
    }
    debug_assert_eq!(ids.len(), pixels(found.size));
    Ok(found.size)
}

/// Why a mask of 16-bit colours is none.
pub(super) const WIDE_COLORS: &str = "has colours of 16 bits a channel, which labels do not have: store it with 8";

/// Turns pixels of 2 to 4 bytes into class ids, their opacity ignored: grey and opacity, colours, colours and opacity.
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

/// Whether the image of a WebP file is compressed without loss: whether a chunk `VP8L` comes before any `VP8 `. The
/// frames of animations are chunks inside others, and are no masks.
fn is_lossless(webp: &[u8]) -> bool {
    let mut rest = webp.get(12..).unwrap_or_default();
    while let [a, b, c, d, length @ ..] = rest
        && let Some(length) = length.first_chunk()
    {
        match &[*a, *b, *c, *d] {
            b"VP8L" => return true,
            b"VP8 " => return false,
            // The length does not count the chunk's head, nor the byte that makes it even.
            _ => {
                let length = u32::from_le_bytes(*length) as usize;
                rest = rest.get(length.saturating_add(8 + length % 2)..).unwrap_or_default();
            }
        }
    }
    false
}
