//! Changes of a band's numbers by their statistics, as nnU-Net makes them, and inversion. Masks stay as they are.
//!
//! nnU-Net changes numbers after its normalisation. Here they count as in the network's input: from 0 (black) to 1
//! (white), as with its normalisation `rgb_to_0_1`, or with mean 0 and deviation 1 where each image is standardised.

use crate::transform::bounds::{interval, share};
use crate::transform::filter::GaussianNoise;
use crate::transform::picture::{Picture, levels};
use crate::transform::random::Random;
use contract::Invalid;
use raster::Element;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Multiplies all numbers by a factor, counted from 0 in the network's input: nnU-Net's
/// `MultiplicativeBrightnessTransform`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Brightness {
    /// Minimum and maximum factor, from 0.01 to 100. Factors below and above 1 are equally likely.
    pub factor: [f32; 2],
    /// Gives each band a factor of its own.
    pub per_band: bool,
    /// Probability of applying it, from 0 to 1.
    pub probability: f32,
}

/// Multiplies the distances from the band's mean by a factor: nnU-Net's `ContrastTransform`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Contrast {
    /// Minimum and maximum factor, from 0.01 to 100. Factors below and above 1 are equally likely.
    pub factor: [f32; 2],
    /// Keeps the numbers within the band's minimum and maximum.
    pub preserve_range: bool,
    /// Gives each band a factor of its own.
    pub per_band: bool,
    /// Probability of applying it, from 0 to 1.
    pub probability: f32,
}

/// Raises the numbers to a power, from 0 at the band's minimum to 1 at its maximum: nnU-Net's `GammaTransform`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Gamma {
    /// Minimum and maximum exponent, from 0.01 to 100. Exponents below and above 1 are equally likely.
    pub gamma: [f32; 2],
    /// Applies the power to the inverted band, and inverts the result back.
    pub invert: bool,
    /// Gives the band its former mean and standard deviation afterwards.
    pub retain: bool,
    /// Gives each band an exponent of its own.
    pub per_band: bool,
    /// Probability of applying it, from 0 to 1.
    pub probability: f32,
}

/// Adds an independent, normally distributed number with mean 0 to every value: nnU-Net's `GaussianNoiseTransform`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InputNoise {
    /// Maximum standard deviation in the network's input, from 0 to 1; each sample draws one from 0 to this.
    pub std: f32,
    /// Probability of applying it, from 0 to 1.
    pub probability: f32,
}

/// Makes a negative: black becomes white, and white black.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Invert {
    /// Probability of applying it, from 0 to 1.
    pub probability: f32,
}

/// Smallest and largest factor or exponent.
const FACTORS: std::ops::RangeInclusive<f32> = 0.01..=100.0;

/// Ranges and deviations below this are taken for 0, as nnU-Net takes them.
const NOTHING: f64 = 1e-7;

/// Draws a number of `[low, high]`. Where 1 lies inside, numbers below and above it are equally likely (nnU-Net's
/// `BGContrast`).
fn around_one([low, high]: [f32; 2], random: &mut Random) -> f32 {
    if low < 1.0 && high > 1.0 {
        if random.chance(0.5) { random.between(low, 1.0) } else { random.between(1.0, high) }
    } else {
        random.between(low, high)
    }
}

/// Draws a number for each band, or one for all.
fn for_each_band(bands: usize, per_band: bool, interval: [f32; 2], random: &mut Random) -> Vec<f32> {
    if per_band {
        (0..bands).map(|_| around_one(interval, random)).collect()
    } else {
        vec![around_one(interval, random); bands]
    }
}

impl Default for Brightness {
    fn default() -> Self {
        Self { factor: [0.75, 1.25], per_band: true, probability: 0.15 }
    }
}

impl Brightness {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        interval("factor", self.factor, FACTORS)?;
        share("probability", self.probability)
    }

    pub(super) fn change<T: Element>(&self, picture: &mut Picture<T>, random: &mut Random) {
        if random.chance(self.probability) {
            let factors = for_each_band(picture.bands, self.per_band, self.factor, random);
            factors.into_iter().enumerate().for_each(|(band, factor)| brighten(picture, band, factor));
        }
    }
}

/// Multiplies the distances of a band's numbers from 0 in the network's input.
pub(super) fn brighten<T: Element>(picture: &mut Picture<T>, band: usize, factor: f32) {
    let zero = picture.unit[0];
    picture.map_band(band, |number| zero + factor * (number - zero));
}

impl Default for Contrast {
    fn default() -> Self {
        Self { factor: [0.75, 1.25], preserve_range: true, per_band: true, probability: 0.15 }
    }
}

impl Contrast {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        interval("factor", self.factor, FACTORS)?;
        share("probability", self.probability)
    }

    pub(super) fn change<T: Element>(&self, picture: &mut Picture<T>, random: &mut Random) {
        if random.chance(self.probability) {
            let factors = for_each_band(picture.bands, self.per_band, self.factor, random);
            for (band, factor) in factors.into_iter().enumerate() {
                stretch(picture, band, factor, self.preserve_range);
            }
        }
    }
}

/// Multiplies the distances of a band's numbers from their mean.
pub(super) fn stretch<T: Element>(picture: &mut Picture<T>, band: usize, factor: f32, preserve_range: bool) {
    let before = picture.statistics(band);
    let mean = before.mean as f32;
    picture.map_band(band, |number| {
        let number = mean + factor * (number - mean);
        if preserve_range { keep(number, before.least, before.most) } else { number }
    });
}

/// Keeps a number within bounds; NaN stays NaN, and without bounds every number.
fn keep(number: f32, least: f32, most: f32) -> f32 {
    if number < least {
        least
    } else if number > most {
        most
    } else {
        number
    }
}

impl Default for Gamma {
    fn default() -> Self {
        Self { gamma: [0.7, 1.5], invert: false, retain: true, per_band: true, probability: 0.3 }
    }
}

impl Gamma {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        interval("gamma", self.gamma, FACTORS)?;
        share("probability", self.probability)
    }

    pub(super) fn change<T: Element>(&self, picture: &mut Picture<T>, random: &mut Random) {
        if random.chance(self.probability) {
            let exponents = for_each_band(picture.bands, self.per_band, self.gamma, random);
            for (band, gamma) in exponents.into_iter().enumerate() {
                raise(picture, band, gamma, self.invert, self.retain);
            }
        }
    }
}

/// Raises a band's numbers to the power `gamma`, from 0 at their minimum to 1 at their maximum.
pub(super) fn raise<T: Element>(picture: &mut Picture<T>, band: usize, gamma: f32, invert: bool, retain: bool) {
    let before = picture.statistics(band);
    let (least, span) = (f64::from(before.least), f64::from(before.most) - f64::from(before.least));
    if span.is_nan() || span < NOTHING {
        return;
    }
    let power = |number: f32| {
        let place = ((f64::from(number) - least) / span) as f32;
        let raised = if invert { 1.0 - libm::powf(1.0 - place, gamma) } else { libm::powf(place, gamma) };
        least + f64::from(raised) * span
    };
    let pixels = picture.numbers.len() / picture.bands;
    let raised: Vec<f64> = match levels::<T>().filter(|levels| *levels <= pixels) {
        Some(levels) => {
            let table: Vec<f64> = (0..levels).map(|level| power(level as f32)).collect();
            picture.band(band).map(|number| table[number as usize]).collect()
        }
        None => picture.band(band).map(power).collect(),
    };
    let mean = before.mean;
    let (mut moved, mut factor) = (0.0, 1.0);
    if retain {
        // The statistics before numbers are rounded to the image's kind, from the former mean.
        let (mut count, mut sum, mut squares) = (0u64, 0.0, 0.0);
        for distance in raised.iter().map(|number| number - mean).filter(|distance| !distance.is_nan()) {
            count += 1;
            sum += distance;
            squares += distance * distance;
        }
        moved = sum / count.max(1) as f64;
        let deviation = (squares / count.max(1) as f64 - moved * moved).max(0.0).sqrt();
        factor = before.deviation / deviation.max(NOTHING);
    }
    let numbers = picture.numbers.iter_mut().skip(band).step_by(picture.bands);
    for (number, raised) in numbers.zip(raised) {
        *number = T::from_f32(((raised - mean - moved) * factor + mean) as f32);
    }
}

impl Default for InputNoise {
    fn default() -> Self {
        Self { std: 0.1, probability: 0.1 }
    }
}

impl InputNoise {
    /// Returns the noise that is the same for numbers whose range is the network's.
    pub(super) fn of_range(&self) -> GaussianNoise {
        GaussianNoise { std: self.std, probability: self.probability }
    }
}

impl Default for Invert {
    fn default() -> Self {
        Self { probability: 0.5 }
    }
}

impl Invert {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        share("probability", self.probability)
    }

    pub(super) fn change<T: Element>(&self, picture: &mut Picture<T>, random: &mut Random) {
        if random.chance(self.probability) {
            invert(picture);
        }
    }
}

/// Swaps black and white.
pub(super) fn invert<T: Element>(picture: &mut Picture<T>) {
    let [black, white] = picture.range;
    picture.numbers.iter_mut().for_each(|number| *number = T::from_f32(white - (number.to_f32() - black)));
}
