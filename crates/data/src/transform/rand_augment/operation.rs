//! Operations of [`RandAugment`](super::RandAugment), with torchvision's strengths.

use super::tone::{auto_contrast, equalize, posterize, solarize};
use crate::load::Sample;
use crate::transform::affine::{self, Matrix, inverse};
use crate::transform::clahe::equalise;
use crate::transform::color::{Change, recolor};
use crate::transform::elastic::random_field;
use crate::transform::field::warp;
use crate::transform::grid_distortion::random_grid;
use crate::transform::intensity::{invert, raise};
use crate::transform::low_resolution::{blur_band, coarsen};
use crate::transform::picture::Picture;
use crate::transform::random::Random;
use crate::transform::scratch::{Scratch, channels};
use crate::transform::sharpen::sharpen;
use raster::{Depth, Element, on_pixels};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A change whose strength is one number. The first 14 are the paper's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Changes nothing.
    Identity,
    /// Stretches each band to the whole range, whatever the magnitude.
    AutoContrast,
    /// Equalises the histogram of each band of bytes, whatever the magnitude.
    Equalize,
    /// Rotates by up to 30 degrees.
    Rotate,
    /// Inverts the numbers above a threshold, which falls from white to black.
    Solarize,
    /// Multiplies the distances from the pixel's grey by up to 1 plus or minus 0.9. For images of 3 bands.
    Saturation,
    /// Keeps 8 to 4 bits.
    Posterize,
    /// Multiplies the distances from the mean grey by up to 1 plus or minus 0.9.
    Contrast,
    /// Multiplies all values by up to 1 plus or minus 0.9.
    Brightness,
    /// Sharpens or smooths, with a factor of up to 1 plus or minus 0.9.
    Sharpen,
    /// Slants vertical lines by up to 0.3 pixels a row.
    ShearX,
    /// Slants horizontal lines by up to 0.3 pixels a column.
    ShearY,
    /// Moves to the right or left by up to 150/331 of the width.
    TranslateX,
    /// Moves down or up by up to 150/331 of the height.
    TranslateY,
    /// Makes a negative, whatever the magnitude.
    Invert,
    /// Raises each band to a power of up to 2 or 1/2.
    Gamma,
    /// Blurs with a standard deviation of up to 3 pixels.
    GaussianBlur,
    /// Shrinks each band to down to a quarter of its sides and enlarges it again.
    LowResolution,
    /// Equalises each band's histogram tile by tile, with a limit of up to 8. For whole numbers.
    Clahe,
    /// Displaces pixels by a field that was smoothed with 6 pixels, times up to 240.
    Elastic,
    /// Distorts a grid of 5×5 cells by up to half a cell.
    GridDistortion,
}

/// The paper's operations.
const USUAL: [Operation; 14] = [
    Operation::Identity,
    Operation::AutoContrast,
    Operation::Equalize,
    Operation::Rotate,
    Operation::Solarize,
    Operation::Saturation,
    Operation::Posterize,
    Operation::Contrast,
    Operation::Brightness,
    Operation::Sharpen,
    Operation::ShearX,
    Operation::ShearY,
    Operation::TranslateX,
    Operation::TranslateY,
];

impl Operation {
    /// Returns the paper's operations that suit images of this many bands and this depth.
    pub(in crate::transform) fn usual(bands: usize, depth: Depth) -> Vec<Self> {
        USUAL.into_iter().filter(|operation| operation.suits(bands, depth).is_ok()).collect()
    }

    /// Refuses images that it cannot change.
    pub(super) fn suits(self, bands: usize, depth: Depth) -> Result<(), &'static str> {
        match self {
            Self::Saturation if bands != 3 => Err("saturation needs images of 3 bands, red, green and blue"),
            Self::Equalize if depth != Depth::U8 => Err("equalize needs images of 8 bits; auto_contrast takes any"),
            Self::Clahe if depth == Depth::F32 => Err("clahe counts whole numbers, and these images hold floats"),
            _ => Ok(()),
        }
    }

    /// Changes a sample with this strength, from 0 to 1.
    pub(super) fn apply(self, strength: f32, sample: &mut Sample, scratch: &mut Scratch, random: &mut Random) {
        // Drawn for all operations, so that none shifts the draws of the next.
        let sign = if random.chance(0.5) { -1.0 } else { 1.0 };
        let factor = Self::factor(sign, strength);
        let same = Change { brightness: 1.0, contrast: 1.0, saturation: 1.0, hue: 0.0, gamma: 1.0 };
        match self {
            Self::Brightness => recolor(sample, scratch.range, Change { brightness: factor, ..same }),
            Self::Contrast => recolor(sample, scratch.range, Change { contrast: factor, ..same }),
            Self::Saturation => recolor(sample, scratch.range, Change { saturation: factor, ..same }),
            Self::Elastic => {
                let field = random_field(sample.size, 240.0 * strength, 6.0, random);
                warp(sample, scratch, &field);
            }
            Self::GridDistortion => {
                let field = random_grid(sample.size, 5, 0.5 * strength, random);
                warp(sample, scratch, &field);
            }
            _ => match self.matrix(sign * strength, sample.size) {
                Some(matrix) if strength > 0.0 => affine::warp(sample, scratch, matrix),
                Some(_) => {}
                None => {
                    let (size, bands, range, unit) = (sample.size, channels(sample), scratch.range, scratch.unit);
                    on_pixels!(&mut sample.image, numbers => {
                        self.retouch(sign, strength, &mut Picture { numbers, size, bands, range, unit });
                    });
                }
            },
        }
    }

    /// Returns the factor of brightness, contrast, saturation and sharpness.
    pub(in crate::transform) fn factor(sign: f32, strength: f32) -> f32 {
        1.0 + sign * 0.9 * strength
    }

    /// Returns the bits that are kept.
    pub(in crate::transform) fn bits(strength: f32) -> u32 {
        8 - (4.0 * strength).round() as u32
    }

    /// Returns the number from which on others are inverted, from 0 (black) to 1 (white).
    pub(in crate::transform) fn threshold(strength: f32) -> f32 {
        1.0 - strength
    }

    /// Returns the map of a linear operation of the geometry, from a pixel to its source.
    pub(in crate::transform) fn matrix(self, strength: f32, size: [u32; 2]) -> Option<Matrix> {
        let strength = f64::from(strength);
        let (slant, [down, right]) = (0.3 * strength, size.map(|side| 150.0 / 331.0 * strength * f64::from(side)));
        match self {
            Self::Rotate => Some(inverse(30.0 * strength, 0.0, 1.0, [0.0; 2])),
            Self::ShearX => Some([[1.0, slant, 0.0], [0.0, 1.0, 0.0]]),
            Self::ShearY => Some([[1.0, 0.0, 0.0], [slant, 1.0, 0.0]]),
            Self::TranslateX => Some([[1.0, 0.0, -right], [0.0, 1.0, 0.0]]),
            Self::TranslateY => Some([[1.0, 0.0, 0.0], [0.0, 1.0, -down]]),
            _ => None,
        }
    }

    /// Applies an operation of the numbers alone.
    fn retouch<T: Element>(self, sign: f32, strength: f32, picture: &mut Picture<T>) {
        let bands = 0..picture.bands;
        match self {
            Self::AutoContrast => auto_contrast(picture),
            Self::Equalize => equalize(picture),
            Self::Solarize => solarize(picture, Self::threshold(strength)),
            Self::Posterize => posterize(picture, Self::bits(strength)),
            Self::Sharpen => sharpen(picture, Self::factor(sign, strength)),
            Self::Invert => invert(picture),
            Self::Gamma => {
                let gamma = libm::exp2f(sign * strength);
                bands.for_each(|band| raise(picture, band, gamma, false, false));
            }
            Self::GaussianBlur if strength > 0.0 => {
                bands.for_each(|band| blur_band(picture, band, [3.0 * f64::from(strength); 2]));
            }
            Self::LowResolution => {
                let scale = 1.0 - 0.75 * f64::from(strength);
                let size = picture.size.map(|side| (f64::from(side) * scale).round().max(1.0) as usize);
                bands.for_each(|band| coarsen(picture, band, size));
            }
            Self::Clahe => {
                bands.for_each(|band| equalise(picture, band, 1.0 + 7.0 * f64::from(strength), [8, 8]));
            }
            _ => {}
        }
    }
}
