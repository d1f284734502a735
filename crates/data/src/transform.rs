//! Label-preserving changes to a sample: the image and its target are transformed together.
//!
//! **Invariant:** the effect of a transform is a function of the sample and of the random stream of its place alone
//! (for [`CutMix`] also of its partner). Masks take the nearest pixel, never a mean of classes; maps of numbers do as
//! their [`Values`](crate::Values) say. Where the content is unknown, the image is black, the mask
//! [`IGNORE`](crate::IGNORE), and a map the `fill` of its `Values`. Sines, powers and logarithms come from the crate
//! `libm`, which is the same on every machine; those of the standard library are the system's.

pub(crate) mod affine;
mod bounds;
pub(crate) mod channel;
pub(crate) mod clahe;
pub(crate) mod color;
pub(crate) mod copy_paste;
pub(crate) mod crop;
pub(crate) mod elastic;
mod field;
pub(crate) mod filter;
mod flip;
mod gauss;
pub(crate) mod grid_distortion;
pub(crate) mod intensity;
pub(crate) mod jpeg;
pub(crate) mod low_resolution;
pub(crate) mod mosaic;
pub(crate) mod patch;
mod picture;
pub(crate) mod rand_augment;
pub(crate) mod random;
mod resample;
pub(crate) mod resize;
pub(crate) mod scratch;
pub(crate) mod sharpen;

use crate::error::Error;
use crate::load::{Sample, pixels};
use affine::Affine;
use bounds::share;
use color::ColorJitter;
use contract::Invalid;
use crop::{RandomCrop, RandomResizedCrop};
use filter::{GaussianBlur, GaussianNoise};
use patch::{CoarseDropout, CutMix};
use random::Random;
use schemars::JsonSchema;
use scratch::Scratch;
use serde::{Deserialize, Serialize};

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
        scratch: &mut Scratch,
        size: [u32; 2],
        random: &mut Random,
    ) -> Result<(), Error> {
        if pixels(sample.size) == 0 {
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
                    flip::quarter_turns(sample, &mut scratch.spare, 1 + random.below(3));
                }
            }
            Self::RandomResizedCrop(crop) => crop.apply(sample, scratch, size, random)?,
            Self::RandomCrop(crop) => crop.apply(sample, scratch, size, random)?,
            Self::Affine(affine) => affine.apply(sample, scratch, random),
            Self::ColorJitter(jitter) => jitter.apply(sample, scratch.range, random),
            Self::GaussianBlur(blur) => blur.apply(sample, scratch, random),
            Self::GaussianNoise(noise) => noise.apply(sample, scratch.range, random),
            Self::CoarseDropout(dropout) => dropout.apply(sample, scratch, random),
            Self::CutMix(_) => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod exact;
#[cfg(test)]
mod peers;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod values;
