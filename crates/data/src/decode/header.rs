//! Reads the header of an image file without decoding pixels.

use super::problem::{Problem, sides};
use super::tiff::Tiff;
use super::turn::{Orientation, Turn};
use super::{jpeg, kind, limited, note, open};
use crate::error::Error;
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

/// Returns height and width of the decoded image at `path`, from its header.
pub fn dimensions(path: &Path, orientation: Orientation) -> Result<[u32; 2], Error> {
    let header = read(&mut open(path)?).map_err(|problem| problem.of(path))?;
    Ok(header.turn.wanted(orientation).size(header.size))
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
