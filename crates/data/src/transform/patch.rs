//! Rectangles dropped from a sample, or pasted into it from another one.

use crate::load::{IGNORE, Sample, Target, planes, planes_mut};
use crate::transform::bounds::{interval, share};
use crate::transform::random::Random;
use crate::transform::resize::Rectangle;
use crate::transform::scratch::{Scratch, channels};
use contract::Invalid;
use raster::{Element, Pixels, on_pixels};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Maximum number of rectangles dropped from a sample.
const MOST: u32 = 1000;

/// Blackens rectangles; their mask becomes [`IGNORE`], so the network need not guess their content. (T. DeVries and
/// G. W. Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout", 2017.)
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CoarseDropout {
    /// Number of rectangles, from 1 to 1000. They may overlap.
    pub count: u32,
    /// Height and width of each as a share of the sample's, above 0 and up to 1; at least a pixel.
    pub size: f32,
    /// Probability of applying it, from 0 to 1.
    pub probability: f32,
}

/// Pastes a rectangle of another sample, image and mask, over this one at the same place. (S. Yun and others, "CutMix:
/// Regularization Strategy to Train Strong Classifiers with Localizable Features", ICCV 2019.)
///
/// The other sample is drawn uniformly from the rest of the data set. It has been through the transforms before this
/// one in the list, exactly as when it is a sample of the same epoch itself, but nothing is pasted over it. If its size
/// differs, it is cropped or padded at its centre.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CutMix {
    /// Probability of applying it, from 0 to 1.
    pub probability: f32,
    /// Minimum and maximum share of the sample's area that is pasted over, from 0 to 1.
    pub share: [f32; 2],
}

impl Default for CoarseDropout {
    fn default() -> Self {
        Self { count: 4, size: 0.15, probability: 0.5 }
    }
}

impl CoarseDropout {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        Invalid::unless((1..=MOST).contains(&self.count), "count", || {
            format!("must be 1 to {MOST}, is {}", self.count)
        })?;
        Invalid::unless(self.size > 0.0 && self.size <= 1.0, "size", || {
            format!("must be above 0 and up to 1, is {}", self.size)
        })?;
        share("probability", self.probability)
    }

    /// Applies it; targets in the rectangles become unknown.
    pub(super) fn apply(&self, sample: &mut Sample, scratch: &Scratch, random: &mut Random) {
        if !random.chance(self.probability) {
            return;
        }
        let size = sample.size.map(|side| part(side, self.size));
        for _ in 0..self.count {
            drop(sample, Rectangle::within(sample.size, size, random), scratch);
        }
    }
}

impl Default for CutMix {
    fn default() -> Self {
        Self { probability: 0.5, share: [0.1, 0.5] }
    }
}

impl CutMix {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        share("probability", self.probability)?;
        interval("share", self.share, 0.0..=1.0)
    }

    /// Draws the other sample of `len` to paste over the sample at `index`, of this size, and the place; `None` if this
    /// one stays as it is, or if there is no other.
    pub(crate) fn draw(&self, size: [u32; 2], index: u64, len: u64, random: &mut Random) -> Option<(u64, Rectangle)> {
        if !random.chance(self.probability) || len < 2 || size.contains(&0) {
            return None;
        }
        let other = random.below(len - 1);
        let share = random.between(self.share[0], self.share[1]).sqrt();
        let place = Rectangle::within(size, size.map(|side| part(side, share)), random);
        Some((other + u64::from(other >= index), place))
    }
}

/// Returns this share of a side, in whole pixels.
fn part(side: u32, share: f32) -> u32 {
    ((f64::from(side) * f64::from(share)).round() as u32).clamp(1, side)
}

/// Makes a part of a sample black and unknown.
fn drop(sample: &mut Sample, place: Rectangle, scratch: &Scratch) {
    let (channels, width) = (channels(sample), sample.size[1] as usize);
    on_pixels!(&mut sample.image, image => blacken(image, rows(place, width), channels, scratch.black));
    match &mut sample.target {
        Target::Classes(ids) => rows(place, width).for_each(|columns| ids[columns].fill(IGNORE)),
        Target::Values(values) => {
            for plane in planes_mut(values, sample.size) {
                rows(place, width).for_each(|columns| plane[columns].fill(scratch.values.fill));
            }
        }
    }
}

fn blacken<T: Element>(image: &mut [T], rows: impl Iterator<Item = Range<usize>>, channels: usize, black: f32) {
    for columns in rows {
        image[columns.start * channels..columns.end * channels].fill(T::from_f32(black));
    }
}

/// Copies a part of `other` to the same place of `sample`, which has the same size.
pub(crate) fn paste(sample: &mut Sample, other: &Sample, place: Rectangle) {
    let (channels, width) = (channels(sample), sample.size[1] as usize);
    // All images of a data set have one depth, and all targets one form.
    on_pixels!(&mut sample.image, image => paste_image(image, &other.image, rows(place, width), channels));
    match (&mut sample.target, &other.target) {
        (Target::Classes(ids), Target::Classes(others)) => {
            rows(place, width).for_each(|columns| ids[columns.clone()].copy_from_slice(&others[columns]));
        }
        (Target::Values(values), Target::Values(others)) => {
            for (plane, other) in planes_mut(values, sample.size).zip(planes(others, sample.size)) {
                rows(place, width).for_each(|columns| plane[columns.clone()].copy_from_slice(&other[columns]));
            }
        }
        _ => {}
    }
}

fn paste_image<T: Element>(image: &mut [T], other: &Pixels, rows: impl Iterator<Item = Range<usize>>, channels: usize) {
    let Some(other) = T::of(other) else { return };
    for columns in rows {
        let numbers = columns.start * channels..columns.end * channels;
        image[numbers.clone()].copy_from_slice(&other[numbers]);
    }
}

/// Returns the pixel range of each row of a part of a sample that is `width` pixels wide.
fn rows(place: Rectangle, width: usize) -> impl Iterator<Item = Range<usize>> {
    (place.top..place.top + place.height).map(move |row| {
        let start = row as usize * width + place.left as usize;
        start..start + place.width as usize
    })
}
