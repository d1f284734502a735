//! Label-preserving changes to a sample: the image and its mask are transformed together.
//!
//! **Invariant:** the effect of a transform is a function of the sample and of the random stream of its place alone
//! (for [`CutMix`] also of its partner). Masks take the nearest pixel, never a mean of classes; where the content is
//! unknown, the image is black and the mask [`IGNORE`](crate::IGNORE). Sines, powers and logarithms come from the crate
//! `libm`, which is the same on every machine; those of the standard library are the system's.

mod affine;
mod color;
mod crop;
mod filter;
mod flip;
mod patch;

pub use affine::Affine;
pub use color::ColorJitter;
pub use crop::{RandomCrop, RandomResizedCrop};
pub use filter::{GaussianBlur, GaussianNoise};
pub use patch::{CoarseDropout, CutMix};
pub(crate) use {crop::window, patch::paste};

use crate::dataset::{Sample, pixels};
use crate::error::Error;
use crate::random::Random;
use crate::resize::Scaler;
use contract::Invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// A random change to training samples, named by its key `kind`. Validation and prediction use unchanged samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Transform {
    /// Mirrors left to right.
    HorizontalFlip {
        /// Probability of applying it, from 0 to 1.
        #[serde(default = "half")]
        probability: f32,
    },
    /// Mirrors top to bottom.
    VerticalFlip {
        /// Probability of applying it, from 0 to 1.
        #[serde(default = "half")]
        probability: f32,
    },
    /// Rotates by 90, 180 or 270 degrees with equal probability. A sample that is not square swaps its sides.
    Rotate90 {
        /// Probability of applying it, from 0 to 1; at the default 0.75 each of the four orientations is equally
        /// likely.
        #[serde(default = "three_quarters")]
        probability: f32,
    },
    /// Resizes a random part of the sample to the network's size.
    RandomResizedCrop(RandomResizedCrop),
    /// Crops a random piece of the network's size.
    RandomCrop(RandomCrop),
    /// Rotates, shears, scales and translates about the centre.
    Affine(Affine),
    /// Changes gamma, brightness, contrast, saturation and hue.
    ColorJitter(ColorJitter),
    /// Blurs the image.
    GaussianBlur(GaussianBlur),
    /// Adds noise to the image.
    GaussianNoise(GaussianNoise),
    /// Blackens rectangles.
    CoarseDropout(CoarseDropout),
    /// Pastes a rectangle of another sample over this one.
    CutMix(CutMix),
}

fn half() -> f32 {
    0.5
}

fn three_quarters() -> f32 {
    0.75
}

/// Returns the default transforms of training samples: half of them are mirrored.
pub fn usual() -> Vec<Transform> {
    vec![Transform::HorizontalFlip { probability: half() }]
}

/// Work buffers of transforms, reused from sample to sample.
#[derive(Debug, Default)]
pub(crate) struct Room {
    /// Buffer for a changed sample, which then takes the place of the old one.
    pub(crate) spare: Sample,
    /// A few rows of an image, as floats.
    rows: Vec<f32>,
    scaler: Scaler,
}

impl Transform {
    /// Refuses values that are invalid for these classes and this many channels; keys are relative to this transform.
    pub fn check(&self, classes: &[String], channels: u32) -> Result<(), Invalid> {
        match self {
            Self::HorizontalFlip { probability }
            | Self::VerticalFlip { probability }
            | Self::Rotate90 { probability } => share("probability", *probability),
            Self::RandomResizedCrop(crop) => crop.check(),
            Self::RandomCrop(crop) => crop.check(classes),
            Self::Affine(affine) => affine.check(),
            Self::ColorJitter(jitter) => jitter.check(channels),
            Self::GaussianBlur(blur) => blur.check(),
            Self::GaussianNoise(noise) => noise.check(),
            Self::CoarseDropout(dropout) => dropout.check(),
            Self::CutMix(mix) => mix.check(),
        }
    }

    /// Replaces the names of `classes` by their ids.
    pub(crate) fn resolved(&self, classes: &[String]) -> Self {
        match self {
            Self::RandomCrop(crop) => Self::RandomCrop(crop.resolved(classes)),
            other => other.clone(),
        }
    }

    /// Changes `sample` with the numbers of `random`, for a network with inputs of `size`. [`CutMix`], which needs a
    /// data set, is applied by the pipeline.
    pub(crate) fn apply(
        &self,
        sample: &mut Sample,
        room: &mut Room,
        size: [u32; 2],
        random: &mut Random,
    ) -> Result<(), Error> {
        if sample.mask.is_empty() {
            return Ok(());
        }
        match self {
            Self::HorizontalFlip { probability } => {
                if random.chance(*probability) {
                    flip::horizontal(sample);
                }
            }
            Self::VerticalFlip { probability } => {
                if random.chance(*probability) {
                    flip::vertical(sample);
                }
            }
            Self::Rotate90 { probability } => {
                if random.chance(*probability) {
                    flip::quarter_turns(sample, &mut room.spare, 1 + random.below(3));
                }
            }
            Self::RandomResizedCrop(crop) => crop.apply(sample, room, size, random)?,
            Self::RandomCrop(crop) => crop.apply(sample, &mut room.spare, size, random)?,
            Self::Affine(affine) => affine.apply(sample, &mut room.spare, random),
            Self::ColorJitter(jitter) => jitter.apply(sample, random),
            Self::GaussianBlur(blur) => blur.apply(sample, room, random),
            Self::GaussianNoise(noise) => noise.apply(sample, random),
            Self::CoarseDropout(dropout) => dropout.apply(sample, random),
            Self::CutMix(_) => {}
        }
        Ok(())
    }
}

/// Returns the bytes a pixel of a sample that is not empty.
fn channels(sample: &Sample) -> usize {
    sample.image.len() / sample.mask.len().max(1)
}

/// Gives `spare` the dimensions of a sample of `size`, for the caller to overwrite every byte.
fn reserve(spare: &mut Sample, size: [u32; 2], channels: usize) {
    spare.size = size;
    spare.image.resize(pixels(size) * channels, 0);
    spare.mask.resize(pixels(size), 0);
}

fn share(key: &str, value: f32) -> Result<(), Invalid> {
    within(key, value, 0.0..=1.0)
}

fn within(key: &str, value: f32, range: RangeInclusive<f32>) -> Result<(), Invalid> {
    Invalid::unless(range.contains(&value), key, || format!("must be {} to {}, is {value}", range.start(), range.end()))
}

/// Refuses two numbers that are no interval within `range`.
fn interval(key: &str, [low, high]: [f32; 2], range: RangeInclusive<f32>) -> Result<(), Invalid> {
    Invalid::unless(range.contains(&low) && range.contains(&high) && low <= high, key, || {
        let (least, most) = (range.start(), range.end());
        format!("must hold two numbers from {least} to {most}, the smaller one first, is [{low}, {high}]")
    })
}

#[cfg(test)]
mod tests;
