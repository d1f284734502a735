//! Rows of TIFFs of 8 or 16 bits whose strips or tiles are no rows of pixels: bands stored apart, or one strip that
//! holds the image.

use super::file::open;
use super::found::Found;
use super::problem::sides;
use super::tiff::Tiff;
use crate::error::Error;
use image::ImageFormat;
use raster::{Depth, Pixels, Raster};
use std::path::Path;

/// Such a TIFF, read row by row as grey or colours.
pub(super) struct Windows {
    raster: Raster,
    /// Bands of grey or colours, with their transparency.
    bands: Vec<u32>,
    /// Number of rows that were read.
    done: u32,
    numbers: Pixels,
}

impl Windows {
    /// Opens the image at `path`. None if its colours need a conversion that the crate `tiff` makes, or if it is packed
    /// in parts too large for windows.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, Error> {
        let tiff = Tiff::open(open(path)?).map_err(|problem| problem.of(path))?;
        if !tiff.is_as_stored() {
            return Ok(None);
        }
        let Ok(raster) = Raster::open(path) else { return Ok(None) };
        let info = raster.info();
        let bands: Vec<u32> = (0..tiff.colors.channels().into()).collect();
        let is_alike = info.size == tiff.size && bands.len() <= info.bands as usize && info.depth != Depth::F32;
        sides(info.size).map_err(|problem| problem.of(path))?;
        Ok(is_alike.then(|| Self { raster, bands, done: 0, numbers: Pixels::default() }))
    }

    /// Returns height and width.
    pub(super) fn size(&self) -> [u32; 2] {
        self.raster.info().size
    }

    /// Passes over the next `count` rows without decoding them.
    pub(super) fn skip(&mut self, count: u32) {
        self.done = self.done.saturating_add(count).min(self.size()[0]);
    }

    /// Reads up to `count` rows as images of 3 channels or 1, in place of what `pixels` holds. `raw` is memory to use.
    pub(super) fn read(
        &mut self,
        count: u32,
        channels: u32,
        raw: &mut Vec<u8>,
        pixels: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let [height, width] = self.size();
        let count = count.min(height - self.done);
        pixels.clear();
        if count == 0 {
            return Ok(());
        }
        let depth = self.raster.info().depth;
        self.raster.window([self.done, 0], [count, width], &self.bands, depth, &mut self.numbers)?;
        self.done += count;
        raw.clear();
        match &self.numbers {
            Pixels::U16(numbers) => raw.extend(numbers.iter().flat_map(|number| number.to_ne_bytes())),
            numbers => raw.extend_from_slice(numbers.bytes()),
        }
        let (wide, channels_found) = (depth == Depth::U16, self.bands.len() as u8);
        let found = Found { size: [count, width], channels: channels_found, wide, format: ImageFormat::Tiff };
        found.convert(raw, channels, pixels);
        Ok(())
    }
}
