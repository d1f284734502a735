//! Reads the header of an image file without decoding pixels.

use super::file::{limited, open};
use super::problem::{Problem, sides};
use super::tiff::Tiff;
use super::turn::{Orientation, Turn};
use super::{jpeg, kind, note, part};
use crate::error::Error;
use image::{ImageFormat, ImageReader};
use raster::{Options, Raster};
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

/// Returns height and width of the decoded image at `path`, from its header.
pub fn dimensions(path: &Path, orientation: Orientation) -> Result<[u32; 2], Error> {
    let of_header = match part::split(path) {
        (file, options) if file == path && options == Options::default() => read(&mut open(path)?),
        _ => Err(Problem::CutOff),
    };
    match of_header {
        Ok(header) => Ok(header.turn.wanted(orientation).size(header.size)),
        Err(problem) => of_raster(path, orientation)?.ok_or_else(|| problem.of(path)),
    }
}

/// Returns height and width of an image that only the crate `raster` reads.
fn of_raster(path: &Path, orientation: Orientation) -> Result<Option<[u32; 2]>, Error> {
    let (file, options) = part::split(path);
    let mut reader = open(file)?;
    let start = reader.fill_buf().map_err(|source| Error::Io { path: path.into(), source })?;
    if !raster::is_raster(start) {
        return Ok(None);
    }
    let Ok(raster) = Raster::open_with(file, &options) else { return Ok(None) };
    let info = raster.info();
    Ok(Some(Turn::of(info.orientation.into()).wanted(orientation).size(info.size)))
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
