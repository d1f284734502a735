//! Blur and noise, as lenses and sensors cause them. Masks stay as they are.

use crate::load::Sample;
use crate::transform::bounds::{interval, share, within};
use crate::transform::random::Random;
use crate::transform::scratch::{Scratch, channels};
use contract::Invalid;
use raster::{Element, Pixels, on_pixels};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

/// Blurs the image with a Gaussian filter; the image is mirrored at its edges.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GaussianBlur {
    /// Minimum and maximum standard deviation, in pixels from 0.1 to 10. The filter's radius is three of them.
    pub sigma: [f32; 2],
    /// Probability of applying it, from 0 to 1.
    pub probability: f32,
}

/// Adds an independent, normally distributed number with mean 0 to every value of the image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GaussianNoise {
    /// Maximum standard deviation, as a share of the values' range, from 0 to 1; each sample draws one from 0 to this.
    pub std: f32,
    /// Probability of applying it, from 0 to 1.
    pub probability: f32,
}

/// Maximum standard deviation of a blur, in pixels.
const WIDEST: f32 = 10.0;

/// Number of weights on one side of the widest filter, plus the centre.
const MOST_WEIGHTS: usize = 3 * WIDEST as usize + 1;

impl Default for GaussianBlur {
    fn default() -> Self {
        Self { sigma: [0.1, 2.0], probability: 0.5 }
    }
}

impl GaussianBlur {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        interval("sigma", self.sigma, 0.1..=WIDEST)?;
        share("probability", self.probability)
    }

    pub(super) fn apply(&self, sample: &mut Sample, scratch: &mut Scratch, random: &mut Random) {
        if random.chance(self.probability) {
            blur(sample, scratch, random.between(self.sigma[0], self.sigma[1]));
        }
    }
}

/// Blurs an image, with a standard deviation of 0.1 to 10 pixels.
pub(super) fn blur(sample: &mut Sample, scratch: &mut Scratch, sigma: f32) {
    let (channels, size) = (channels(sample), sample.size);
    let Scratch { rows, spare, .. } = scratch;
    on_pixels!(&sample.image, image => blur_image(image, (size, channels), rows, sigma, &mut spare.image));
    std::mem::swap(&mut sample.image, &mut spare.image);
}

fn blur_image<T: Element>(
    image: &[T],
    (size, channels): ([u32; 2], usize),
    rows: &mut Vec<f32>,
    sigma: f32,
    to: &mut Pixels,
) {
    let [height, width] = size.map(|side| side as usize);
    let (row_len, radius) = (width * channels, ((3.0 * sigma).ceil() as usize).min(MOST_WEIGHTS - 1));
    let weights = weights(sigma, radius);
    let weights = &weights[..=radius];
    // One row: blurred vertically, then mirrored at both ends, then blurred horizontally.
    let edge = radius * channels;
    rows.resize(2 * (row_len + edge), 0.0);
    let (padded, sums) = rows.split_at_mut(row_len + 2 * edge);
    let sums = &mut sums[..row_len];
    let to = T::buffer(to);
    to.resize(image.len(), T::default());
    let source = |row: isize| &image[mirrored(row, height) * row_len..][..row_len];
    for (row, to) in to.chunks_exact_mut(row_len).enumerate() {
        let row = row as isize;
        let inner = &mut padded[edge..edge + row_len];
        inner.iter_mut().zip(source(row)).for_each(|(sum, value)| *sum = weights[0] * value.to_f32());
        for (reach, weight) in weights.iter().enumerate().skip(1) {
            let (above, below) = (source(row - reach as isize), source(row + reach as isize));
            for ((sum, above), below) in inner.iter_mut().zip(above).zip(below) {
                *sum += weight * (above.to_f32() + below.to_f32());
            }
        }
        for reach in 1..=radius {
            for (column, mirrored) in [
                (radius - reach, mirrored(-(reach as isize), width)),
                (radius + width - 1 + reach, mirrored((width - 1 + reach) as isize, width)),
            ] {
                padded
                    .copy_within((radius + mirrored) * channels..(radius + mirrored + 1) * channels, column * channels);
            }
        }
        sums.iter_mut().zip(&padded[edge..]).for_each(|(sum, value)| *sum = weights[0] * value + T::HALF);
        for (reach, weight) in weights.iter().enumerate().skip(1) {
            let (left, right) = (&padded[edge - reach * channels..], &padded[edge + reach * channels..]);
            for ((sum, left), right) in sums.iter_mut().zip(left).zip(right) {
                *sum += weight * (left + right);
            }
        }
        to.iter_mut().zip(&*sums).for_each(|(value, sum)| *value = T::truncate(*sum));
    }
}

/// Returns the weights at 0, 1, 2, … pixels from the centre: exp(-(x / sigma)² / 2), normalised so that the whole
/// filter, both of its sides, adds up to 1.
fn weights(sigma: f32, radius: usize) -> [f32; MOST_WEIGHTS] {
    let density = |x: usize| libm::exp(-0.5 * (x as f64 / f64::from(sigma)) * (x as f64 / f64::from(sigma)));
    let whole = 1.0 + 2.0 * (1..=radius).map(density).sum::<f64>();
    std::array::from_fn(|x| (density(x) / whole) as f32)
}

/// Returns the place within `len` that mirrors one beyond its ends; the first and the last are not repeated.
fn mirrored(place: isize, len: usize) -> usize {
    let last = len as isize - 1;
    if last == 0 {
        return 0;
    }
    let place = place.rem_euclid(2 * last);
    place.min(2 * last - place) as usize
}

impl Default for GaussianNoise {
    fn default() -> Self {
        Self { std: 0.05, probability: 0.5 }
    }
}

impl GaussianNoise {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        within("std", self.std, 0.0..=1.0)?;
        share("probability", self.probability)
    }

    pub(super) fn apply(&self, sample: &mut Sample, [black, white]: [f32; 2], random: &mut Random) {
        if random.chance(self.probability) {
            let std = random.between(0.0, self.std);
            add_noise(sample, std * (white - black), random);
        }
    }
}

/// Adds noise with a standard deviation of `std` levels.
pub(super) fn add_noise(sample: &mut Sample, std: f32, random: &mut Random) {
    on_pixels!(&mut sample.image, image => add_to(image, std, random));
}

fn add_to<T: Element>(image: &mut [T], std: f32, random: &mut Random) {
    let levels = QUANTILES.map(|quantile| quantile * std + T::HALF);
    for values in image.chunks_mut(2) {
        let bits = random.bits();
        for (value, bits) in values.iter_mut().zip([bits, bits >> 16]) {
            *value = T::truncate(value.to_f32() + levels[bits as usize % levels.len()]);
        }
    }
}

/// Midpoints of 4096 equally likely parts of the standard normal distribution, up to 3.7 standard deviations out:
/// picking one by 12 random bits is as good as a normal distribution, after rounding to 256 levels.
pub(super) static QUANTILES: LazyLock<[f32; 4096]> = LazyLock::new(|| {
    let mut quantiles = [0.0; 4096];
    let mut quantile = 0.0;
    for place in 2048..4096 {
        let wanted = (place as f64 + 0.5) / 4096.0;
        // Newton's method, from below: above 0 the distribution function is concave, so it never overshoots.
        for _ in 0..8 {
            let density = libm::exp(-0.5 * quantile * quantile) / (2.0 * std::f64::consts::PI).sqrt();
            let below = 0.5 + 0.5 * libm::erf(quantile / std::f64::consts::SQRT_2);
            quantile += (wanted - below) / density;
        }
        quantiles[place] = quantile as f32;
        quantiles[4095 - place] = -quantile as f32;
    }
    quantiles
});
