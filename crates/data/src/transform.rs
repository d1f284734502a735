//! Changes to a sample that leave what it shows true: the image and its mask move together.
//!
//! **Invariant:** what a transform does is a function of the sample and of the random stream of its place alone (for
//! [`CutMix`] also of its partner). Masks take the nearest pixel, never a mean of classes; where nothing is known any
//! more, the image is black and the mask [`IGNORE`](crate::IGNORE). Sines, powers and logarithms are those of the crate
//! `libm`, which are the same on every machine; those of the standard library are the system's.

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

/// A way to vary training samples, named by its key `kind`. Validation and prediction see samples as they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Transform {
    /// Mirrors left to right.
    HorizontalFlip {
        /// How often, from 0 to 1.
        #[serde(default = "half")]
        probability: f32,
    },
    /// Mirrors top to bottom.
    VerticalFlip {
        /// How often, from 0 to 1.
        #[serde(default = "half")]
        probability: f32,
    },
    /// Turns by one, two or three quarters, each as often as the others. A sample that is not square changes its sides.
    Rotate90 {
        /// How often, from 0 to 1; at the usual 0.75 each of the four orientations is equally likely.
        #[serde(default = "three_quarters")]
        probability: f32,
    },
    /// Brings a random part of the sample to the network's size.
    RandomResizedCrop(RandomResizedCrop),
    /// Cuts a piece of the network's size out at random.
    RandomCrop(RandomCrop),
    /// Turns, shears, scales and moves, about the centre.
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

/// What training samples are varied with unless the configuration says otherwise: half of them are mirrored.
pub fn usual() -> Vec<Transform> {
    vec![Transform::HorizontalFlip { probability: half() }]
}

/// What transforms work in, used for one sample after the other.
#[derive(Debug, Default)]
pub(crate) struct Room {
    /// Where a changed sample is put together before it takes the place of the old one.
    pub(crate) spare: Sample,
    /// A few rows of an image, as numbers.
    rows: Vec<f32>,
    scaler: Scaler,
}

impl Transform {
    /// Complains about values that cannot work with these classes and this many bytes a pixel; keys are relative to this
    /// transform.
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

    /// The same with the ids of `classes` in place of their names.
    pub(crate) fn resolved(&self, classes: &[String]) -> Self {
        match self {
            Self::RandomCrop(crop) => Self::RandomCrop(crop.resolved(classes)),
            other => other.clone(),
        }
    }

    /// Changes `sample` as `random` says, for a network that is fed with `size`. [`CutMix`], which takes a data set, is
    /// the pipeline's to apply.
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

/// Bytes a pixel of a sample that is not empty.
fn channels(sample: &Sample) -> usize {
    sample.image.len() / sample.mask.len().max(1)
}

/// Makes `spare` a sample of `size` whose every byte is still to be written.
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

/// Complains about two numbers that are no interval within `range`.
fn interval(key: &str, [low, high]: [f32; 2], range: RangeInclusive<f32>) -> Result<(), Invalid> {
    Invalid::unless(range.contains(&low) && range.contains(&high) && low <= high, key, || {
        let (least, most) = (range.start(), range.end());
        format!("must hold two numbers from {least} to {most}, the smaller one first, is [{low}, {high}]")
    })
}

#[cfg(test)]
mod tests;
