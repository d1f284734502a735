//! Decoding of image files. The format is read from the first bytes: data sets hold GIFs and PNGs called `.jpg`.
//!
//! JPEG is decoded by `zune-jpeg`, TIFF by `tiff`, PNG masks by `png`, everything else by `image`. Of several frames
//! the first is used. Transparency is dropped, and of 16 bits the upper 8 are kept (as OpenCV reads PNGs);
//! [`remarks`](fn@remarks::remarks) reports what else a file holds. Images are turned upright by their orientation tags
//! ([`Orientation`]).

mod colors;
mod file;
mod found;
mod grey;
pub(crate) mod header;
mod jpeg;
pub(crate) mod kind;
mod mask;
mod note;
mod other;
pub mod part;
mod png;
mod problem;
pub(crate) mod remarks;
mod stack;
pub(crate) mod strips;
#[cfg(test)]
mod tests;
mod tiff;
pub(crate) mod turn;
mod unpack;
mod wide;
mod windows;

use crate::error::Error;
use crate::label::Labels;
use crate::label::classes::Class;
use crate::label::table::LabelTable;
use crate::load::layout::Layout;
use crate::transform::resize::Rectangle;
use file::read;
use found::Found;
use image::{ImageFormat, RgbImage};
use problem::{MOST_MEMORY, Problem};
use raster::Pixels;
use std::path::Path;
use turn::Orientation;

/// Maximum ratio of decoded to compressed bytes for JPEGs that exceed [`MOST_MEMORY`]. (A block of 8×8 pixels takes at
/// least 6 bits.)
const MOST_PACKED: u64 = 400;

/// Reads the image at `path` as RGB: transparency is dropped, greyscale and palettes become colours; of several frames
/// the first is used.
pub fn read_rgb(path: &Path, orientation: Orientation) -> Result<RgbImage, Error> {
    let ([height, width], rgb) = read_pixels(path, 3, orientation)?;
    let problem = || Problem::Refused("has another number of pixels than its size says: get the file again".into());
    RgbImage::from_raw(width, height, rgb).ok_or_else(|| problem().of(path))
}

/// Reads an image for a network with this many `channels`: height and width, and `H×W×C` bytes.
pub fn read_pixels(path: &Path, channels: u32, orientation: Orientation) -> Result<([u32; 2], Vec<u8>), Error> {
    let mut pixels = Vec::new();
    let size = Decoder::default().image(path, channels, orientation, &mut pixels)?;
    Ok((size, pixels))
}

/// Decodes one file after another into buffers of the caller.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// The bytes of the file.
    file: Vec<u8>,
    /// Pixels as stored in the file, where the caller wants another layout.
    raw: Vec<u8>,
}

impl Decoder {
    /// Decodes the image at `path` into `pixels`, `H×W×channels` bytes, and returns its height and width. One channel
    /// is grey: the file's own grey values, or the luma of its colours.
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

    /// Decodes the image at `path` as `layout` says, and returns its height and width. `unknown` tells for each pixel
    /// whether its content is unknown, and is empty where all are known.
    pub(crate) fn layout(
        &mut self,
        path: &Path,
        layout: &Layout,
        orientation: Orientation,
        (pixels, unknown): (&mut Pixels, &mut Vec<bool>),
    ) -> Result<[u32; 2], Error> {
        unknown.clear();
        if layout.is_plain() && !part::is_part(path) {
            read(path, &mut self.file)?;
            if !wide::only_raster(path, &self.file) {
                let pixels = pixels.bytes_mut();
                let size = image_of(&self.file, layout.channels(), orientation, &mut self.raw, pixels, MOST_MEMORY);
                return size.map_err(|problem| problem.of(path));
            }
        }
        if let Some(size) = wide::read(path, layout, orientation, (pixels, unknown))? {
            return Ok(size);
        }
        let refused = |problem| Problem::Refused(problem).of(path);
        let (stored, bands) = wide::bands_of_bytes(layout).map_err(refused)?;
        let mut found = Vec::new();
        let size = self.image(path, stored, orientation, &mut found)?;
        wide::of_bytes((&found, stored), &bands, layout, (pixels, unknown));
        Ok(size)
    }

    /// Decodes a part of the image at `path`: that which `choose` returns for the image's height and width. Returns
    /// both, or `None` if the image can be decoded only as a whole.
    pub(crate) fn part(
        &mut self,
        path: &Path,
        layout: &Layout,
        orientation: Orientation,
        choose: &mut dyn FnMut([u32; 2]) -> Rectangle,
        (pixels, unknown): (&mut Pixels, &mut Vec<bool>),
    ) -> Result<Option<([u32; 2], Rectangle)>, Error> {
        unknown.clear();
        wide::part(path, layout, orientation, choose, (pixels, unknown))
    }

    /// Decodes a part of the mask at `path` into class ids, and returns height and width of the whole mask. `None` if
    /// it can be decoded only as a whole.
    pub(crate) fn part_of_mask(
        &mut self,
        path: &Path,
        labels: &LabelTable,
        part: Rectangle,
        ids: &mut Vec<u8>,
    ) -> Result<Option<[u32; 2]>, Error> {
        mask::part_of_numbers(path, labels, part, ids)
    }

    /// Decodes as [`image`](Self::image) does, but lets a JPEG exceed the usual limit in proportion to its file size.
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

    /// Decodes the mask at `path` into class ids, `H×W` bytes, and returns its height and width. Every pixel must be a
    /// label. Only the mask's own orientation tag turns it.
    pub(crate) fn mask(
        &mut self,
        path: &Path,
        labels: &LabelTable,
        orientation: Orientation,
        ids: &mut Vec<u8>,
    ) -> Result<[u32; 2], Error> {
        if part::is_part(path) {
            return mask::of_numbers(path, labels, ids);
        }
        read(path, &mut self.file)?;
        if wide::only_raster(path, &self.file) {
            return mask::of_numbers(path, labels, ids);
        }
        let (size, turn) = mask::decode(&self.file, path, labels, &mut self.raw, ids)?;
        Ok(turn.wanted(orientation).apply(ids, size, 1, &mut self.raw))
    }

    /// Converts the `bytes` of an image in memory, of 1 to 4 channels, to `pixels` of 3 channels or 1.
    pub(crate) fn convert(&mut self, bytes: &[u8], (size, from): ([u32; 2], u8), channels: u32, pixels: &mut Vec<u8>) {
        self.raw.clear();
        self.raw.extend_from_slice(bytes);
        // The format describes files, and decides nothing here.
        let found = Found { size, channels: from, wide: false, format: ImageFormat::Png };
        found.convert(&mut self.raw, channels, pixels);
    }

    /// Frees buffers that one unusually large file has left behind.
    pub(crate) fn trim(&mut self) {
        trim(&mut self.file);
        trim(&mut self.raw);
    }
}

/// Frees a buffer that is larger than most photographs need.
fn trim(buffer: &mut Vec<u8>) {
    if buffer.capacity() > 128 << 20 {
        *buffer = Vec::new();
    }
}

/// Decodes the image in `file`.
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

/// Decodes the bytes of an image file as [`Dataset::load`](crate::Dataset::load) does: for the fuzzer.
#[doc(hidden)]
pub fn decode_image(file: &[u8], channels: u32, pixels: &mut Vec<u8>) -> Result<[u32; 2], Error> {
    let decoded = image_of(file, channels, Orientation::Apply, &mut Vec::new(), pixels, MOST_MEMORY);
    decoded.map_err(|problem| problem.of(Path::new("any")))
}

/// Decodes the bytes of a mask file as [`Dataset::load`](crate::Dataset::load) does: for the fuzzer.
#[doc(hidden)]
pub fn decode_mask(file: &[u8], labels: &Labels, classes: &[Class], ids: &mut Vec<u8>) -> Result<[u32; 2], Error> {
    let (size, turn) = mask::decode(file, Path::new("any"), &labels.table(classes)?, &mut Vec::new(), ids)?;
    Ok(turn.apply(ids, size, 1, &mut Vec::new()))
}
