//! Artefacts of JPEG compression. Masks stay as they are.

use crate::transform::bounds::share;
use crate::transform::random::Random;
use contract::Invalid;
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};
use raster::Depth;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

/// Compresses the image as a JPEG and decodes it again; colours keep their resolution (4:4:4).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Jpeg {
    /// Minimum and maximum quality, from 1 to 100, by the tables of the Independent JPEG Group.
    pub quality: [u8; 2],
    /// Probability of applying it, from 0 to 1.
    pub probability: f32,
}

impl Default for Jpeg {
    fn default() -> Self {
        Self { quality: [50, 95], probability: 0.5 }
    }
}

impl Jpeg {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        let [low, high] = self.quality;
        Invalid::unless(1 <= low && low <= high && high <= 100, "quality", || {
            format!("must hold two numbers from 1 to 100, the smaller one first, is [{low}, {high}]")
        })?;
        share("probability", self.probability)
    }

    /// Refuses images that a JPEG cannot hold.
    pub(super) fn suits(&self, bands: u32, depth: Depth) -> Result<(), Invalid> {
        Invalid::unless(depth == Depth::U8 && matches!(bands, 1 | 3), "kind", || {
            let bits = 8 * depth.bytes();
            format!("jpeg needs images of 8 bits with 1 or 3 bands, these have {bands} of {bits} bits: leave it out")
        })
    }

    /// Changes `H×W×bands` bytes. On failure says why.
    pub(super) fn change(
        &self,
        bytes: &mut [u8],
        size: [u32; 2],
        bands: usize,
        random: &mut Random,
    ) -> Result<(), String> {
        if !random.chance(self.probability) {
            return Ok(());
        }
        let [low, high] = self.quality;
        let quality = low + random.below(u64::from(high.saturating_sub(low)) + 1) as u8;
        compress(bytes, size, bands, quality)
    }
}

/// Compresses and decodes `H×W×bands` bytes.
pub(super) fn compress(bytes: &mut [u8], size: [u32; 2], bands: usize, quality: u8) -> Result<(), String> {
    let (kind, space) = match bands {
        1 => (ExtendedColorType::L8, ColorSpace::Luma),
        3 => (ExtendedColorType::Rgb8, ColorSpace::RGB),
        bands => return Err(format!("JPEG artefacts need images of 1 or 3 bands, this one has {bands}")),
    };
    let mut file = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut file, quality);
    encoder.write_image(bytes, size[1], size[0], kind).map_err(|source| source.to_string())?;
    let options = DecoderOptions::default().jpeg_set_out_colorspace(space);
    let options = options.set_max_width(usize::MAX).set_max_height(usize::MAX);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(file), options);
    decoder.decode_into(bytes).map_err(|source| source.to_string())
}
