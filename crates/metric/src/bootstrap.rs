//! Confidence intervals of scores by bootstrap over images.
//!
//! Images are drawn with replacement, as many as there are, and the scores computed from the counts of those drawn; the
//! interval lies between two percentiles of the results. (Efron and Tibshirani, "An Introduction to the Bootstrap",
//! 1993, chapter 13.) It tells how much a score depends on the choice of images, not on the seed of a training.

use crate::quantile::quantile;
use crate::random::{Purpose, Random};
use crate::tally::{self, Tally};

/// Number of resamples.
pub const RESAMPLES: usize = 2000;

/// Share of the resamples that lies in an interval.
pub const LEVEL: f64 = 0.95;

/// Confidence interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Returns the interval of each of the scores that [`Confusion::scores`](crate::Confusion::scores) gives for the sum of
/// these images, `pixels` aside. `images` holds the counts of each image, class by class. Absent: scores without a
/// value, and all if there are fewer than two images.
///
/// A resample in which a score does not exist, since it has no image with that class, is left out for that score.
pub fn intervals(images: &[Vec<Tally>], classes: &[String]) -> Vec<(String, Interval)> {
    // Most images hold few of the classes.
    let present = |image: &Vec<Tally>| -> Vec<(usize, Tally)> {
        image.iter().copied().enumerate().filter(|(_, tally)| !tally.is_absent()).collect()
    };
    let images: Vec<Vec<(usize, Tally)>> = images.iter().map(present).filter(|image| !image.is_empty()).collect();
    let found = percentiles(images.len(), |times| {
        let mut sums = vec![Tally::default(); classes.len()];
        for (image, times) in images.iter().zip(times).filter(|(_, times)| **times > 0) {
            for (class, tally) in image {
                sums[*class].add(tally, *times);
            }
        }
        tally::values(&sums)
    });
    tally::names(classes).into_iter().zip(found).filter_map(|(name, interval)| Some((name, interval?))).collect()
}

/// Returns the interval of the mean of `values`; `None` for fewer than two.
pub fn of_mean(values: &[f64]) -> Option<Interval> {
    let mean = |times: &[u64]| {
        let sum: f64 = values.iter().zip(times).map(|(value, times)| value * *times as f64).sum();
        vec![sum / values.len() as f64]
    };
    percentiles(values.len(), mean).into_iter().next().flatten()
}

/// Returns the interval of each statistic of `count` items that `compute` returns for the number of times that each
/// item is drawn.
fn percentiles(count: usize, compute: impl Fn(&[u64]) -> Vec<f64>) -> Vec<Option<Interval>> {
    if count < 2 {
        return Vec::new();
    }
    let mut random = Random::new(Purpose::Bootstrap);
    let mut found: Vec<Vec<f64>> = Vec::new();
    let mut times = vec![0; count];
    for _ in 0..RESAMPLES {
        times.fill(0);
        (0..count).for_each(|_| times[random.below(count)] += 1);
        let values = compute(&times);
        found.resize_with(values.len(), Vec::new);
        found.iter_mut().zip(values).filter(|(_, value)| !value.is_nan()).for_each(|(found, value)| found.push(value));
    }
    let interval = |mut values: Vec<f64>| {
        let [low, high] = [(1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0].map(|q| quantile(&mut values, q));
        (!low.is_nan()).then_some(Interval { low, high })
    };
    found.into_iter().map(interval).collect()
}

#[cfg(test)]
mod tests;
