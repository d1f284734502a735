//! Smooth random displacements.

use crate::transform::bounds::{interval, share};
use crate::transform::field::Field;
use crate::transform::gauss::Gauss;
use crate::transform::random::Random;
use contract::Invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Displaces every pixel by a smooth random field: numbers drawn uniformly from -1 to 1 for each pixel and axis,
/// smoothed with a Gaussian filter of `sigma`, times `alpha`. (P. Simard and others, "Best Practices for Convolutional
/// Neural Networks Applied to Visual Document Analysis", ICDAR 2003.)
///
/// The displacements' standard deviation is about 0.16 alpha / sigma pixels. Pixels from outside the sample are black
/// and ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Elastic {
    /// Minimum and maximum factor of the smoothed field, in pixels from 0 to 10000.
    pub alpha: [f32; 2],
    /// Minimum and maximum standard deviation of the filter, in pixels from 0.5 to 50.
    pub sigma: [f32; 2],
    /// Probability of applying it, from 0 to 1.
    pub probability: f32,
}

impl Default for Elastic {
    fn default() -> Self {
        Self { alpha: [0.0, 120.0], sigma: [6.0, 6.0], probability: 0.5 }
    }
}

impl Elastic {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        interval("alpha", self.alpha, 0.0..=10_000.0)?;
        interval("sigma", self.sigma, 0.5..=50.0)?;
        share("probability", self.probability)
    }

    /// Draws the source of each pixel, for an image of `size`; `None` if it stays as it is.
    pub(super) fn draw(&self, size: [u32; 2], random: &mut Random) -> Option<Field> {
        if !random.chance(self.probability) {
            return None;
        }
        let alpha = random.between(self.alpha[0], self.alpha[1]);
        let sigma = random.between(self.sigma[0], self.sigma[1]);
        Some(random_field(size, alpha, sigma, random))
    }
}

/// Draws the source of each pixel of an image of `size`.
pub(super) fn random_field(size: [u32; 2], alpha: f32, sigma: f32, random: &mut Random) -> Field {
    let pixels = size.map(|side| side as usize).iter().product();
    let [down, right] = [0, 1].map(|_| {
        let noise = (0..pixels).map(|_| random.between(-1.0, 1.0)).collect();
        displacements(noise, size, alpha, sigma)
    });
    let width = size[1] as usize;
    let shift =
        |(place, (down, right)): (usize, (f32, f32))| [(place % width) as f32 + right, (place / width) as f32 + down];
    down.into_iter().zip(right).enumerate().map(shift).collect()
}

/// Smooths numbers from -1 to 1, one a pixel, and multiplies them by `alpha`.
pub(super) fn displacements(mut noise: Vec<f32>, size: [u32; 2], alpha: f32, sigma: f32) -> Vec<f32> {
    let size = size.map(|side| side as usize);
    // SciPy's radius: four standard deviations.
    let filter = Gauss::new(sigma.into(), (4.0 * f64::from(sigma) + 0.5) as usize);
    filter.down(&mut noise, size);
    filter.along(&mut noise, size[1]);
    noise.iter_mut().for_each(|number| *number *= alpha);
    noise
}
