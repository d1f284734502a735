//! Coarser sensors and lenses, band by band, as nnU-Net simulates them. Masks stay as they are.

use crate::transform::bounds::{interval, share};
use crate::transform::gauss::Gauss;
use crate::transform::picture::Picture;
use crate::transform::random::Random;
use contract::Invalid;
use raster::Element;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Shrinks bands by the nearest pixel and enlarges them again bilinearly: nnU-Net's `SimulateLowResolutionTransform`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LowResolution {
    /// Minimum and maximum size of the shrunk band, as a share of each side, from 0.01 to 1.
    pub scale: [f32; 2],
    /// Probability of each band to be shrunk, with a size of its own, from 0 to 1.
    pub bands: f32,
    /// Probability of applying it, from 0 to 1.
    pub probability: f32,
}

/// Blurs bands with Gaussian filters of their own, along each axis with another one: nnU-Net's `GaussianBlurTransform`.
/// Bands are mirrored at their edges.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BandBlur {
    /// Minimum and maximum standard deviation, in pixels from 0.1 to 10. The filter's radius is three of them.
    pub sigma: [f32; 2],
    /// Probability of each band to be blurred, from 0 to 1.
    pub bands: f32,
    /// Probability of applying it, from 0 to 1.
    pub probability: f32,
}

/// Calls `change` for each band that is drawn with this probability, in their order.
fn for_some_bands<'n, T: Element>(
    picture: &mut Picture<'n, T>,
    probability: f32,
    random: &mut Random,
    mut change: impl FnMut(&mut Picture<'n, T>, usize, &mut Random),
) {
    for band in 0..picture.bands {
        if random.chance(probability) {
            change(picture, band, random);
        }
    }
}

impl Default for LowResolution {
    fn default() -> Self {
        Self { scale: [0.5, 1.0], bands: 0.5, probability: 0.25 }
    }
}

impl LowResolution {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        interval("scale", self.scale, 0.01..=1.0)?;
        share("bands", self.bands)?;
        share("probability", self.probability)
    }

    pub(super) fn change<T: Element>(&self, picture: &mut Picture<T>, random: &mut Random) {
        if random.chance(self.probability) {
            for_some_bands(picture, self.bands, random, |picture, band, random| {
                let scale = f64::from(random.between(self.scale[0], self.scale[1]));
                let size = picture.size.map(|side| (f64::from(side) * scale).round_ties_even().max(1.0) as usize);
                coarsen(picture, band, size);
            });
        }
    }
}

/// Shrinks a band to `size` by the nearest pixel, and enlarges it again bilinearly.
pub(super) fn coarsen<T: Element>(picture: &mut Picture<T>, band: usize, [rows, columns]: [usize; 2]) {
    let [height, width] = picture.sides();
    let (row_sources, column_sources) = (nearest(height, rows), nearest(width, columns));
    let mut small = Vec::with_capacity(rows * columns);
    for row in row_sources {
        let line = &picture.numbers[row * width * picture.bands..];
        small.extend(column_sources.iter().map(|column| line[column * picture.bands + band].to_f32()));
    }
    let across: Vec<Tap> = taps(columns, width).collect();
    for (row, down) in taps(rows, height).enumerate() {
        let [above, below] = [down.first, down.second].map(|row| &small[row * columns..][..columns]);
        let line = &mut picture.numbers[row * width * picture.bands..][..width * picture.bands];
        for (number, tap) in line.iter_mut().skip(band).step_by(picture.bands).zip(&across) {
            *number = T::from_f32(down.mix(tap.of(above), tap.of(below)));
        }
    }
}

/// Returns the pixel of a line of `from` pixels that lies at the centre of each of `to` pixels (PyTorch's
/// `nearest-exact`).
fn nearest(from: usize, to: usize) -> Vec<usize> {
    let scale = from as f32 / to as f32;
    (0..to).map(|place| (((place as f32 + 0.5) * scale) as usize).min(from - 1)).collect()
}

/// Two pixels of a line, and the weight of the second.
struct Tap {
    first: usize,
    second: usize,
    weight: f32,
}

impl Tap {
    fn of(&self, line: &[f32]) -> f32 {
        self.mix(line[self.first], line[self.second])
    }

    /// Mixes two values; equal ones keep their value, and a second one without a weight has no influence.
    fn mix(&self, first: f32, second: f32) -> f32 {
        if self.weight == 0.0 { first } else { first + self.weight * (second - first) }
    }
}

/// Returns the pixels of a line of `from` pixels that lie around the centre of each of `to` pixels.
fn taps(from: usize, to: usize) -> impl Iterator<Item = Tap> {
    let scale = from as f32 / to as f32;
    (0..to).map(move |place| {
        let centre = ((place as f32 + 0.5) * scale - 0.5).max(0.0);
        let first = (centre as usize).min(from - 1);
        Tap { first, second: (first + 1).min(from - 1), weight: centre - first as f32 }
    })
}

impl Default for BandBlur {
    fn default() -> Self {
        Self { sigma: [0.5, 1.0], bands: 0.5, probability: 0.2 }
    }
}

impl BandBlur {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        interval("sigma", self.sigma, 0.1..=10.0)?;
        share("bands", self.bands)?;
        share("probability", self.probability)
    }

    pub(super) fn change<T: Element>(&self, picture: &mut Picture<T>, random: &mut Random) {
        if random.chance(self.probability) {
            for_some_bands(picture, self.bands, random, |picture, band, random| {
                let sigmas = [0, 1].map(|_| f64::from(random.between(self.sigma[0], self.sigma[1])));
                blur_band(picture, band, sigmas);
            });
        }
    }
}

/// Blurs a band, with a standard deviation for its columns and one for its rows.
pub(super) fn blur_band<T: Element>(picture: &mut Picture<T>, band: usize, sigmas: [f64; 2]) {
    // nnU-Net's filter has the odd number of weights that is nearest to 6 sigma + 0.5.
    let [down, along] = sigmas.map(|sigma| Gauss::new(sigma, (3.0 * sigma + 0.25) as usize));
    let mut plane = Vec::new();
    picture.take_band(band, &mut plane);
    down.down(&mut plane, picture.sides());
    along.along(&mut plane, picture.sides()[1]);
    picture.put_band(band, &plane);
}
