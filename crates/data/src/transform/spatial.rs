//! Rotation and scaling as nnU-Net draws them.

use crate::load::Sample;
use crate::transform::affine::{inverse, warp};
use crate::transform::bounds::{interval, share, within};
use crate::transform::random::Random;
use crate::transform::scratch::Scratch;
use contract::Invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Rotates and scales the sample about its centre, each with a probability of its own: nnU-Net's `SpatialTransform`.
/// The image is interpolated bilinearly, the mask takes the nearest pixel. Pixels from outside the sample are black and
/// ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Spatial {
    /// Maximum angle of rotation in either direction, in degrees from 0 to 180. `null` is nnU-Net's: 180, or 15 where
    /// one side of the network's input is more than 1.5 times as long as the other.
    pub rotate: Option<f32>,
    /// Probability of rotating, from 0 to 1.
    pub rotate_probability: f32,
    /// Minimum and maximum factor by which objects become smaller, from 0.1 to 10.
    pub shrink: [f32; 2],
    /// Probability of scaling, from 0 to 1.
    pub shrink_probability: f32,
}

impl Default for Spatial {
    fn default() -> Self {
        Self { rotate: None, rotate_probability: 0.2, shrink: [0.7, 1.4], shrink_probability: 0.2 }
    }
}

impl Spatial {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        within("rotate", self.rotate.unwrap_or_default(), 0.0..=180.0)?;
        share("rotate_probability", self.rotate_probability)?;
        interval("shrink", self.shrink, 0.1..=10.0)?;
        share("shrink_probability", self.shrink_probability)
    }

    pub(super) fn apply(&self, sample: &mut Sample, scratch: &mut Scratch, size: [u32; 2], random: &mut Random) {
        let [angle, shrink] = self.draw(size, random);
        if [angle, shrink] != [0.0, 1.0] {
            warp(sample, scratch, inverse(angle.into(), 0.0, 1.0 / f64::from(shrink), [0.0; 2]));
        }
    }

    /// Draws the angle, in degrees, and the factor, for a network with inputs of `size`.
    pub(super) fn draw(&self, size: [u32; 2], random: &mut Random) -> [f32; 2] {
        let [rotates, shrinks] = [self.rotate_probability, self.shrink_probability].map(|share| random.chance(share));
        let [short, long] = [size[0].min(size[1]), size[0].max(size[1])].map(f64::from);
        let most = self.rotate.unwrap_or(if long > 1.5 * short { 15.0 } else { 180.0 });
        let angle = if rotates { random.between(-most, most) } else { 0.0 };
        let shrink = if shrinks { random.between(self.shrink[0], self.shrink[1]) } else { 1.0 };
        [angle, shrink]
    }
}
