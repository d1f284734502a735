//! Paired comparison of two networks on the same images.

use crate::bootstrap::{Interval, of_mean};
use crate::random::{Purpose, Random};

/// Maximum number of images for which all sign flips are enumerated: 65,536 of them.
const EXACT: usize = 16;

/// Number of random sign flips with more images.
const FLIPS: u64 = 9999;

/// Result of a paired comparison.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Paired {
    /// Number of images.
    pub images: usize,
    /// Mean of the differences.
    pub mean: f64,
    /// Its 95 % interval by bootstrap over images; `None` for fewer than two.
    pub interval: Option<Interval>,
    /// Probability of a mean at least this far from 0, if neither network were better.
    pub p: f64,
}

/// Compares two networks by the difference of their scores on each image: a two-sided sign-flip permutation test of the
/// mean (Fisher, "The Design of Experiments", 1935, section 21). If neither were better, each difference could as well
/// have had the other sign. `None` without images.
///
/// With up to 16 images all sign flips are enumerated. With more, 9,999 are drawn from a constant seed, and the
/// observed one counts among them, so p is at least 0.0001.
pub fn paired(differences: &[f64]) -> Option<Paired> {
    let images = differences.len();
    let sum: f64 = differences.iter().sum();
    // Sums that are equal but for rounding count as equal.
    let rounding = 1e-12 * differences.iter().map(|difference| difference.abs()).sum::<f64>();
    let is_as_far = |signs: &mut dyn Iterator<Item = bool>| {
        let flipped = differences.iter().zip(signs).map(|(value, minus)| if minus { -value } else { *value });
        flipped.sum::<f64>().abs() >= sum.abs() - rounding
    };
    let p = if images <= EXACT {
        let all = 1u64 << images;
        let far = (0..all).filter(|signs| is_as_far(&mut (0..images).map(|image| signs >> image & 1 == 1))).count();
        far as f64 / all as f64
    } else {
        let mut random = Random::new(Purpose::Signs);
        let mut bits = 0;
        let far = (0..FLIPS).filter(|_| {
            is_as_far(&mut (0..images).map(|image| {
                bits = if image % 64 == 0 { random.bits() } else { bits >> 1 };
                bits & 1 == 1
            }))
        });
        (1 + far.count()) as f64 / (1 + FLIPS) as f64
    };
    (images > 0).then(|| Paired { images, mean: sum / images as f64, interval: of_mean(differences), p })
}

#[cfg(test)]
mod tests;
