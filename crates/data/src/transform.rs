//! Label-preserving changes to a sample: the image and its target are transformed together.
//!
//! **Invariant:** the effect of a transform is a function of the sample and of the random stream of its place alone
//! (for [`CutMix`], [`Mosaic`] and [`CopyPaste`] also of its partners). Masks take the nearest pixel, never a mean of
//! classes; maps of numbers do as their [`Values`](crate::Values) say. Where the content is unknown, the image is
//! black, the mask [`IGNORE`](crate::IGNORE), and a map the `fill` of its `Values`. Sines, powers and logarithms come
//! from the crate `libm`, which is the same on every machine; those of the standard library are the system's.

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
pub(crate) mod named;
pub(crate) mod patch;
mod picture;
pub(crate) mod rand_augment;
pub(crate) mod random;
mod resample;
pub(crate) mod resize;
pub(crate) mod scratch;
pub(crate) mod sharpen;
pub(crate) mod spatial;

use crate::error::Error;
use crate::load::{Sample, pixels};
use affine::Affine;
use bounds::share;
use channel::{ChannelDropout, ChannelShuffle};
use clahe::Clahe;
use color::ColorJitter;
use contract::Invalid;
use copy_paste::CopyPaste;
use crop::{RandomCrop, RandomResizedCrop};
use elastic::Elastic;
use filter::{GaussianBlur, GaussianNoise};
use grid_distortion::GridDistortion;
use intensity::{Brightness, Contrast, Gamma, InputNoise, Invert};
use jpeg::Jpeg;
use low_resolution::{BandBlur, LowResolution};
use mosaic::Mosaic;
use patch::{CoarseDropout, CutMix};
use picture::Picture;
use rand_augment::RandAugment;
use random::Random;
use raster::{Depth, Element, Pixels, on_pixels};
use schemars::JsonSchema;
use scratch::{Scratch, channels};
use serde::{Deserialize, Serialize};
use sharpen::Sharpen;
use spatial::Spatial;

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
    /// Displaces pixels by a smooth random field.
    Elastic(Elastic),
    /// Distorts the rows and columns of a grid.
    GridDistortion(GridDistortion),
    /// Rotates and scales as nnU-Net does.
    Spatial(Spatial),
    /// Multiplies all numbers.
    Brightness(Brightness),
    /// Multiplies the distances from each band's mean.
    Contrast(Contrast),
    /// Raises each band's numbers to a power.
    Gamma(Gamma),
    /// Adds noise whose deviation counts in the network's input.
    InputNoise(InputNoise),
    /// Makes a negative.
    Invert(Invert),
    /// Blurs each band on its own.
    BandBlur(BandBlur),
    /// Lowers the resolution of bands.
    LowResolution(LowResolution),
    /// Sharpens the image.
    Sharpen(Sharpen),
    /// Equalises histograms tile by tile.
    Clahe(Clahe),
    /// Compresses the image as a JPEG.
    Jpeg(Jpeg),
    /// Blackens whole bands.
    ChannelDropout(ChannelDropout),
    /// Puts the bands in a random order.
    ChannelShuffle(ChannelShuffle),
    /// Applies a few operations, drawn at random.
    RandAugment(RandAugment),
    /// Joins pieces of four samples.
    Mosaic(Mosaic),
    /// Pastes objects of another sample over this one.
    CopyPaste(CopyPaste),
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
            Self::Elastic(elastic) => elastic.check(),
            Self::GridDistortion(distortion) => distortion.check(),
            Self::Spatial(spatial) => spatial.check(),
            Self::Brightness(brightness) => brightness.check(),
            Self::Contrast(contrast) => contrast.check(),
            Self::Gamma(gamma) => gamma.check(),
            Self::InputNoise(noise) => noise.of_range().check(),
            Self::Invert(invert) => invert.check(),
            Self::BandBlur(blur) => blur.check(),
            Self::LowResolution(low) => low.check(),
            Self::Sharpen(sharpen) => sharpen.check(),
            Self::Clahe(clahe) => clahe.check(),
            Self::Jpeg(jpeg) => jpeg.check(),
            Self::ChannelDropout(dropout) => dropout.check(),
            Self::ChannelShuffle(shuffle) => shuffle.check(),
            Self::RandAugment(augment) => augment.check(),
            Self::Mosaic(mosaic) => mosaic.check(),
            Self::CopyPaste(paste) => paste.check(classes),
        }
    }

    /// Refuses images of this many channels or this depth where the transform cannot change them.
    pub(crate) fn suits(&self, channels: u32, depth: Depth) -> Result<(), Invalid> {
        match self {
            Self::Clahe(clahe) => clahe.suits(depth),
            Self::Jpeg(jpeg) => jpeg.suits(channels, depth),
            Self::ChannelDropout(dropout) => dropout.suits(channels),
            Self::ChannelShuffle(shuffle) => shuffle.suits(channels),
            Self::RandAugment(augment) => augment.suits(channels, depth),
            _ => Ok(()),
        }
    }

    /// Returns the key that needs targets that are class ids, if there is one.
    pub(crate) fn key_of_classes(&self) -> Option<&'static str> {
        match self {
            Self::RandomCrop(crop) => crop.key_of_classes(),
            Self::CopyPaste(_) => Some("classes"),
            _ => None,
        }
    }

    /// Replaces the names of `classes` by their ids.
    pub(crate) fn resolved(&self, classes: &[String]) -> Self {
        match self {
            Self::RandomCrop(crop) => Self::RandomCrop(crop.resolved(classes)),
            Self::CopyPaste(paste) => Self::CopyPaste(paste.resolved(classes)),
            other => other.clone(),
        }
    }

    /// Changes `sample` with the numbers of `random`, for a network with inputs of `size`. Those that need other
    /// samples ([`CutMix`], [`Mosaic`] and [`CopyPaste`]) are applied by the pipeline.
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
            Self::RandomCrop(crop) => crop.apply(sample, scratch, size, random, None)?,
            Self::Affine(affine) => affine.apply(sample, scratch, random),
            Self::ColorJitter(jitter) => jitter.apply(sample, scratch.range, random),
            Self::GaussianBlur(blur) => blur.apply(sample, scratch, random),
            Self::GaussianNoise(noise) => noise.apply(sample, scratch.range, random),
            Self::CoarseDropout(dropout) => dropout.apply(sample, scratch, random),
            Self::Elastic(elastic) => {
                if let Some(field) = elastic.draw(sample.size, random) {
                    field::warp(sample, scratch, &field);
                }
            }
            Self::GridDistortion(distortion) => {
                if let Some(field) = distortion.draw(sample.size, random) {
                    field::warp(sample, scratch, &field);
                }
            }
            Self::Spatial(spatial) => spatial.apply(sample, scratch, size, random),
            Self::InputNoise(noise) => noise.of_range().apply(sample, scratch.unit, random),
            Self::Jpeg(jpeg) => {
                let bands = channels(sample);
                // Other depths are refused before: see `suits`.
                if let Pixels::U8(bytes) = &mut sample.image {
                    let changed = jpeg.change(bytes, sample.size, bands, random);
                    changed.map_err(|problem| Invalid { key: "jpeg".into(), problem })?;
                }
            }
            Self::RandAugment(augment) => augment.apply(sample, scratch, random),
            Self::CutMix(_) | Self::Mosaic(_) | Self::CopyPaste(_) => {}
            image_alone => {
                let (size, bands, range, unit) = (sample.size, channels(sample), scratch.range, scratch.unit);
                on_pixels!(&mut sample.image, numbers => {
                    image_alone.change(&mut Picture { numbers, size, bands, range, unit }, random);
                });
            }
        }
        Ok(())
    }

    /// Changes the numbers of an image, for transforms that leave its target alone.
    fn change<T: Element>(&self, picture: &mut Picture<T>, random: &mut Random) {
        match self {
            Self::Brightness(brightness) => brightness.change(picture, random),
            Self::Contrast(contrast) => contrast.change(picture, random),
            Self::Gamma(gamma) => gamma.change(picture, random),
            Self::Invert(invert) => invert.change(picture, random),
            Self::BandBlur(blur) => blur.change(picture, random),
            Self::LowResolution(low) => low.change(picture, random),
            Self::Sharpen(sharpen) => sharpen.change(picture, random),
            Self::Clahe(clahe) => clahe.change(picture, random),
            Self::ChannelDropout(dropout) => dropout.change(picture, random),
            Self::ChannelShuffle(shuffle) => shuffle.change(picture, random),
            _ => {}
        }
    }
}

#[cfg(test)]
mod exact;
#[cfg(test)]
mod kinds;
#[cfg(test)]
mod peers;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod values;
