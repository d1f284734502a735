//! Image files to pixels. What a file is, is read from its first bytes: data sets hold GIFs and PNGs called `.jpg`.
//!
//! JPEG is decoded by `zune-jpeg`, TIFF by `tiff`, the PNGs of masks by `png`, everything else by `image`. Of several
//! frames the first counts. Transparency is dropped, and of 16 bits the upper 8 stay (as OpenCV reads PNGs);
//! [`remarks()`] says what else a file holds. Images are brought upright as their notes say ([`Orientation`]).

mod grey;
mod header;
mod jpeg;
mod kind;
mod mask;
mod note;
mod other;
mod png;
mod problem;
mod remarks;
mod strips;
#[cfg(test)]
mod tests;
mod tiff;
mod turn;
mod unpack;

use crate::classes::Class;
use crate::error::Error;
use crate::labels::{LabelTable, Labels};
use image::{ImageFormat, ImageReader, Limits, RgbImage};
use problem::{Problem, failed, fits, tell_size};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::Path;

/// The largest width and height that are decoded, in pixels. A header can claim anything; no photograph is larger.
const LARGEST_SIDE: u32 = 32_768;

/// The most memory that a file or a decoded image may take, in bytes.
const MOST_MEMORY: u64 = 512 << 20;

/// How many times smaller than its pixels a JPEG may be where those may take more. (A block of 8×8 pixels takes 6 bits at least.)
const MOST_PACKED: u64 = 400;

pub use header::dimensions;
pub use kind::may_be_image;
pub(crate) use kind::{is_named_as_image, is_read_by_name};
pub(crate) use remarks::remarks_of_mask;
pub use remarks::{Noted, Remark, remarks};
pub use strips::Strips;
pub use turn::Orientation;

/// The image at `path`, its transparency dropped, its grey scale or palette turned into colours; of several frames the
/// first.
pub fn read_rgb(path: &Path, orientation: Orientation) -> Result<RgbImage, Error> {
    let ([height, width], rgb) = read_pixels(path, 3, orientation)?;
    let problem = || Problem::Refused("has another number of pixels than its size says: get the file again".into());
    RgbImage::from_raw(width, height, rgb).ok_or_else(|| problem().of(path))
}

/// The same as a network with this many `channels` sees it: height and width, and `H×W×C` bytes.
pub fn read_pixels(path: &Path, channels: u32, orientation: Orientation) -> Result<([u32; 2], Vec<u8>), Error> {
    let mut pixels = Vec::new();
    let size = Decoder::default().image(path, channels, orientation, &mut pixels)?;
    Ok((size, pixels))
}

/// Decodes one file after the other into buffers that the caller keeps.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// The bytes of the file.
    file: Vec<u8>,
    /// Pixels as the file has them, where the caller wants others.
    raw: Vec<u8>,
}

impl Decoder {
    /// Puts the image at `path` into `pixels`, H×W×`channels` bytes, and gives its height and width. One channel is
    /// grey: a file's own grey values, else what its colours weigh.
    pub(crate) fn image(
        &mut self,
        path: &Path,
        channels: u32,
        orientation: Orientation,
        pixels: &mut Vec<u8>,
    ) -> Result<[u32; 2], Error> {
        read(path, &mut self.file)?;
        image_of(&self.file, channels, orientation, &mut self.raw, pixels, MOST_MEMORY)
            .map_err(|problem| problem.of(path))
    }

    /// The same, for a JPEG that may be larger than all others: as large as its file makes believable.
    pub(crate) fn large_image(
        &mut self,
        path: &Path,
        channels: u32,
        orientation: Orientation,
        pixels: &mut Vec<u8>,
    ) -> Result<[u32; 2], Error> {
        read(path, &mut self.file)?;
        let most = MOST_MEMORY.max(self.file.len() as u64 * MOST_PACKED);
        image_of(&self.file, channels, orientation, &mut self.raw, pixels, most).map_err(|problem| problem.of(path))
    }

    /// Puts the class ids of the mask at `path` into `ids`, H×W bytes, and gives its height and width. Every pixel of
    /// the file must be a label. It is turned by no note but its own.
    pub(crate) fn mask(
        &mut self,
        path: &Path,
        labels: &LabelTable,
        orientation: Orientation,
        ids: &mut Vec<u8>,
    ) -> Result<[u32; 2], Error> {
        read(path, &mut self.file)?;
        let (size, turn) = mask::decode(&self.file, path, labels, &mut self.raw, ids)?;
        Ok(turn.wanted(orientation).apply(ids, size, 1, &mut self.raw))
    }

    /// Gives back what one unusually large file has left here.
    pub(crate) fn trim(&mut self) {
        trim(&mut self.file);
        trim(&mut self.raw);
    }
}

/// Gives back a buffer that is larger than most photographs need.
pub(crate) fn trim(buffer: &mut Vec<u8>) {
    if buffer.capacity() > 128 << 20 {
        *buffer = Vec::new();
    }
}

/// The image that a `file` holds.
fn image_of(
    file: &[u8],
    channels: u32,
    orientation: Orientation,
    raw: &mut Vec<u8>,
    pixels: &mut Vec<u8>,
    most_of_jpeg: u64,
) -> Result<[u32; 2], Problem> {
    let format = kind::format(file)?;
    let (size, turn) = if format == ImageFormat::Jpeg {
        (jpeg::decode(file, channels, raw, pixels, most_of_jpeg)?, note::of_bytes(format, file))
    } else {
        let (found, turn) = other::decode(file, format, channels, raw)?;
        found.convert(raw, channels, pixels);
        (found.size, turn)
    };
    Ok(turn.wanted(orientation).apply(pixels, size, channels, raw))
}

/// What [`Dataset::load`](crate::Dataset::load) does with the bytes of an image file: for the fuzzer.
#[doc(hidden)]
pub fn decode_image(file: &[u8], channels: u32, pixels: &mut Vec<u8>) -> Result<[u32; 2], Error> {
    let decoded = image_of(file, channels, Orientation::Apply, &mut Vec::new(), pixels, MOST_MEMORY);
    decoded.map_err(|problem| problem.of(Path::new("any")))
}

/// What it does with those of a mask file.
#[doc(hidden)]
pub fn decode_mask(file: &[u8], labels: &Labels, classes: &[Class], ids: &mut Vec<u8>) -> Result<[u32; 2], Error> {
    let (size, turn) = mask::decode(file, Path::new("any"), &labels.table(classes)?, &mut Vec::new(), ids)?;
    Ok(turn.apply(ids, size, 1, &mut Vec::new()))
}

fn open(path: &Path) -> Result<BufReader<File>, Error> {
    regular::open(path).map(BufReader::new).map_err(|source| Error::Io { path: path.into(), source })
}

/// Reads a whole file into a buffer.
fn read(path: &Path, file: &mut Vec<u8>) -> Result<(), Error> {
    file.clear();
    let opened = regular::open(path).and_then(|opened| opened.take(MOST_MEMORY + 1).read_to_end(file));
    let bytes = opened.map_err(|source| Error::Io { path: path.into(), source })?;
    if bytes as u64 <= MOST_MEMORY {
        return Ok(());
    }
    let most = MOST_MEMORY >> 20;
    Err(Problem::Refused(format!(
        "has more than the {most} MB that are read of an image file: save it compressed, or in pieces"
    ))
    .of(path))
}

fn limited<R: BufRead + Seek>(mut reader: ImageReader<R>) -> ImageReader<R> {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MOST_MEMORY);
    reader.limits(limits);
    reader
}
