//! Image files to pixels. What a file is, is read from its first bytes: data sets hold GIFs and PNGs called `.jpg`.
//!
//! JPEG is decoded by `zune-jpeg`, the PNGs of masks by `png`, everything else by `image`. Of several frames the first
//! counts. Transparency is dropped, and of 16 bits the upper 8 stay (as OpenCV reads PNGs). The orientation that a camera
//! notes in a photograph is not applied: masks are drawn over the stored pixels.

mod grey;
mod jpeg;
mod mask;
mod other;
mod png;
mod strips;
#[cfg(test)]
mod tests;

use crate::classes::Class;
use crate::error::Error;
use crate::labels::{LabelTable, Labels};
use image::error::{DecodingError, LimitError, LimitErrorKind};
use image::{ImageError, ImageFormat, ImageReader, Limits, RgbImage};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::Path;

/// The largest width and height that are decoded, in pixels. A header can claim anything; no photograph is larger.
const LARGEST_SIDE: u32 = 32_768;

/// The most memory that a file or a decoded image may take, in bytes.
const MOST_MEMORY: u64 = 512 << 20;

/// How many times smaller than its pixels a JPEG may be where those may take more. (A block of 8×8 pixels takes 6 bits at least.)
const MOST_PACKED: u64 = 400;

pub use strips::Strips;

/// Height and width of the image at `path`, from its header: no pixel is decoded.
pub fn dimensions(path: &Path) -> Result<[u32; 2], Error> {
    let mut reader = open(path)?;
    let unreadable = |source| Error::Io { path: path.into(), source };
    if image::guess_format(reader.fill_buf().map_err(unreadable)?).ok() == Some(ImageFormat::Jpeg) {
        return jpeg::dimensions(reader).map_err(|source| undecodable(path, source));
    }
    let reader = limited(ImageReader::new(reader).with_guessed_format().map_err(unreadable)?);
    let (width, height) = reader.into_dimensions().map_err(|source| undecodable(path, source))?;
    Ok([height, width])
}

/// The image at `path`, its transparency dropped, its grey scale or palette turned into colours; of several frames the
/// first.
pub fn read_rgb(path: &Path) -> Result<RgbImage, Error> {
    let ([height, width], rgb) = read_pixels(path, 3)?;
    RgbImage::from_raw(width, height, rgb).ok_or_else(|| undecodable(path, too_large()))
}

/// The same as a network with this many `channels` sees it: height and width, and `H×W×C` bytes.
pub fn read_pixels(path: &Path, channels: u32) -> Result<([u32; 2], Vec<u8>), Error> {
    let mut pixels = Vec::new();
    let size = Decoder::default().image(path, channels, &mut pixels)?;
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
    pub(crate) fn image(&mut self, path: &Path, channels: u32, pixels: &mut Vec<u8>) -> Result<[u32; 2], Error> {
        read(path, &mut self.file)?;
        image_of(&self.file, path, channels, &mut self.raw, pixels, MOST_MEMORY)
    }

    /// The same, for a JPEG that may be larger than all others: as large as its file makes believable.
    pub(crate) fn large_image(&mut self, path: &Path, channels: u32, pixels: &mut Vec<u8>) -> Result<[u32; 2], Error> {
        read(path, &mut self.file)?;
        let most = MOST_MEMORY.max(self.file.len() as u64 * MOST_PACKED);
        image_of(&self.file, path, channels, &mut self.raw, pixels, most)
    }

    /// Puts the class ids of the mask at `path` into `ids`, H×W bytes, and gives its height and width. Every pixel of
    /// the file must be a label.
    pub(crate) fn mask(&mut self, path: &Path, labels: &LabelTable, ids: &mut Vec<u8>) -> Result<[u32; 2], Error> {
        read(path, &mut self.file)?;
        mask::decode(&self.file, path, labels, &mut self.raw, ids)
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

/// The image that the `file` called `path` holds.
fn image_of(
    file: &[u8],
    path: &Path,
    channels: u32,
    raw: &mut Vec<u8>,
    pixels: &mut Vec<u8>,
    most_of_jpeg: u64,
) -> Result<[u32; 2], Error> {
    if image::guess_format(file).ok() == Some(ImageFormat::Jpeg) {
        return jpeg::decode(file, path, channels, raw, pixels, most_of_jpeg);
    }
    let found = other::decode(file, raw).map_err(|source| undecodable(path, source))?;
    found.convert(raw, channels, pixels);
    Ok(found.size)
}

/// What [`Dataset::load`](crate::Dataset::load) does with the bytes of an image file: for the fuzzer.
#[doc(hidden)]
pub fn decode_image(file: &[u8], channels: u32, pixels: &mut Vec<u8>) -> Result<[u32; 2], Error> {
    image_of(file, Path::new("any"), channels, &mut Vec::new(), pixels, MOST_MEMORY)
}

/// What it does with those of a mask file.
#[doc(hidden)]
pub fn decode_mask(file: &[u8], labels: &Labels, classes: &[Class], ids: &mut Vec<u8>) -> Result<[u32; 2], Error> {
    mask::decode(file, Path::new("any"), &labels.table(classes)?, &mut Vec::new(), ids)
}

fn open(path: &Path) -> Result<BufReader<File>, Error> {
    File::open(path).map(BufReader::new).map_err(|source| Error::Io { path: path.into(), source })
}

/// Reads a whole file into a buffer.
fn read(path: &Path, file: &mut Vec<u8>) -> Result<(), Error> {
    file.clear();
    let opened = File::open(path).and_then(|opened| opened.take(MOST_MEMORY + 1).read_to_end(file));
    let bytes = opened.map_err(|source| Error::Io { path: path.into(), source })?;
    if bytes as u64 > MOST_MEMORY { Err(undecodable(path, too_large())) } else { Ok(()) }
}

fn limited<R: BufRead + Seek>(mut reader: ImageReader<R>) -> ImageReader<R> {
    let mut limits = Limits::no_limits();
    limits.max_image_width = Some(LARGEST_SIDE);
    limits.max_image_height = Some(LARGEST_SIDE);
    limits.max_alloc = Some(MOST_MEMORY);
    reader.limits(limits);
    reader
}

/// The bytes of an image, if that many may be had.
fn bytes(size: [u32; 2], bytes_a_pixel: u64) -> Result<usize, ImageError> {
    bytes_up_to(MOST_MEMORY, size, bytes_a_pixel)
}

fn bytes_up_to(most: u64, [height, width]: [u32; 2], bytes_a_pixel: u64) -> Result<usize, ImageError> {
    // Saturating: a header may claim sides whose product no number holds.
    let bytes = u64::from(height).saturating_mul(width.into()).saturating_mul(bytes_a_pixel);
    if ![height, width].iter().all(|side| (1..=LARGEST_SIDE).contains(side)) || bytes > most {
        return Err(too_large());
    }
    Ok(bytes as usize)
}

fn too_large() -> ImageError {
    ImageError::Limits(LimitError::from_kind(LimitErrorKind::DimensionError))
}

fn failed(format: ImageFormat, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ImageError {
    ImageError::Decoding(DecodingError::new(format.into(), source))
}

fn undecodable(path: &Path, source: ImageError) -> Error {
    Error::Image { path: path.into(), source }
}
