//! Reads the header of an image file without decoding pixels.

use super::file::{limited, open};
use super::problem::{Problem, sides};
use super::tiff::Tiff;
use super::turn::{Orientation, Turn};
use super::{jpeg, kind, note, wide};
use crate::error::Error;
use crate::load::layout::Layout;
use image::{ImageFormat, ImageReader};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// Content of an image file's header.
pub(super) struct Header {
    /// Height and width as stored.
    pub(super) size: [u32; 2],
    /// The turn that brings it upright.
    pub(super) turn: Turn,
    pub(super) format: ImageFormat,
}

/// Returns height and width of the decoded image at `path` for a network that sees pixels of this `layout`, from its
/// header.
pub fn dimensions(path: &Path, layout: &Layout, orientation: Orientation) -> Result<[u32; 2], Error> {
    let raster = if layout.is_plain() && !wide::is_only_wide(path)? { None } else { wide::raster(path, layout)? };
    let (size, turn) = match raster {
        Some((raster, _)) => (raster.info().size, Turn::of(raster.info().orientation.into())),
        None => {
            let header = read(&mut open(path)?).map_err(|problem| problem.of(path))?;
            (header.size, header.turn)
        }
    };
    sides(size).map_err(|problem| problem.of(path))?;
    Ok(turn.wanted(orientation).size(size))
}

/// Reads the header of an image file. Leaves `reader` at an unspecified position.
pub(super) fn read(reader: &mut BufReader<File>) -> Result<Header, Problem> {
    let format = kind::format(reader.fill_buf()?)?;
    let (size, turn) = match format {
        ImageFormat::Tiff => {
            let tiff = Tiff::open(reader)?;
            tiff.check_image()?;
            (tiff.size, tiff.turn)
        }
        ImageFormat::Jpeg => (jpeg::dimensions(&mut *reader)?, note::of_file(format, reader)),
        _ => {
            let (width, height) = limited(ImageReader::with_format(&mut *reader, format)).into_dimensions()?;
            ([height, width], note::of_file(format, reader))
        }
    };
    sides(size)?;
    Ok(Header { size, turn, format })
}
