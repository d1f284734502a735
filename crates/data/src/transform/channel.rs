//! Bands that are missing or in another order. Masks stay as they are.

use crate::transform::bounds::share;
use crate::transform::picture::Picture;
use crate::transform::random::Random;
use contract::Invalid;
use raster::Element;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Blackens whole bands, as albumentations' `ChannelDropout`. At least one band remains.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ChannelDropout {
    /// Minimum and maximum number of bands that become black, from 1 to the number of bands less 1.
    pub count: [u32; 2],
    /// Probability of applying it, from 0 to 1.
    pub probability: f32,
}

/// Puts the bands in a random order; every order is equally likely.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ChannelShuffle {
    /// Probability of applying it, from 0 to 1.
    pub probability: f32,
}

impl Default for ChannelDropout {
    fn default() -> Self {
        Self { count: [1, 1], probability: 0.5 }
    }
}

impl ChannelDropout {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        let [low, high] = self.count;
        Invalid::unless(low >= 1 && low <= high, "count", || {
            format!("must hold two numbers from 1, the smaller one first, is [{low}, {high}]")
        })?;
        share("probability", self.probability)
    }

    /// Refuses images without a band that can remain.
    pub(super) fn suits(&self, bands: u32) -> Result<(), Invalid> {
        several("channel_dropout", bands)?;
        let most = self.count[1];
        Invalid::unless(most < bands, "count", || format!("must leave one of the {bands} bands, is up to {most}"))
    }

    pub(super) fn change<T: Element>(&self, picture: &mut Picture<T>, random: &mut Random) {
        if !random.chance(self.probability) {
            return;
        }
        let [low, high] = self.count;
        let count = u64::from(low) + random.below(u64::from(high.saturating_sub(low)) + 1);
        let dropped = random.permutation(picture.bands as u64);
        let black = T::from_f32(picture.unit[0]);
        for band in dropped.into_iter().take(count as usize) {
            picture.numbers.iter_mut().skip(band as usize).step_by(picture.bands).for_each(|number| *number = black);
        }
    }
}

impl Default for ChannelShuffle {
    fn default() -> Self {
        Self { probability: 0.5 }
    }
}

impl ChannelShuffle {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        share("probability", self.probability)
    }

    /// Refuses images of one band.
    pub(super) fn suits(&self, bands: u32) -> Result<(), Invalid> {
        several("channel_shuffle", bands)
    }

    pub(super) fn change<T: Element>(&self, picture: &mut Picture<T>, random: &mut Random) {
        if !random.chance(self.probability) {
            return;
        }
        let order = random.permutation(picture.bands as u64);
        let mut pixel = vec![T::default(); picture.bands];
        for numbers in picture.numbers.chunks_exact_mut(picture.bands) {
            pixel.copy_from_slice(numbers);
            numbers.iter_mut().zip(&order).for_each(|(number, band)| *number = pixel[*band as usize]);
        }
    }
}

fn several(kind: &str, bands: u32) -> Result<(), Invalid> {
    Invalid::unless(bands > 1, "kind", || format!("{kind} needs images of several bands, these have 1: leave it out"))
}
