//! Scores of a confusion matrix.

use crate::tally::{self, Tally};
use contract::Scores;

/// Confusion matrix in pixels: `K` rows of targets, `K` columns of predictions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    counts: Vec<i64>,
}

impl Confusion {
    /// Creates a matrix from its rows in order: `classes * classes` counts; missing ones are 0.
    pub fn new(classes: usize, counts: &[i64]) -> Self {
        let mut counts = counts.to_vec();
        counts.resize(classes * classes, 0);
        Self { classes, counts }
    }

    /// Counts `pixels` of class `target` that were predicted as class `predicted`, or discounts them if negative.
    /// Targets and predictions that are no class, as ignored pixels, do not count.
    pub fn add(&mut self, target: usize, predicted: usize, pixels: i64) {
        if target < self.classes && predicted < self.classes {
            self.counts[target * self.classes + predicted] += pixels;
        }
    }

    /// Adds the counts of another matrix of as many classes.
    pub fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(all, more)| *all += more);
    }

    /// Returns the number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Returns the number of pixels of class `target` that were predicted as class `predicted`.
    pub fn count(&self, target: usize, predicted: usize) -> i64 {
        self.counts[target * self.classes + predicted]
    }

    /// Returns the number of all counted pixels.
    pub fn pixels(&self) -> i64 {
        self.counts.iter().sum()
    }

    /// Returns the counts of each class. They are all that the scores need.
    pub fn tallies(&self) -> Vec<Tally> {
        let sum = |cells: &mut dyn Iterator<Item = i64>| u64::try_from(cells.sum::<i64>()).unwrap_or(0);
        let of_class = |k| Tally {
            hits: sum(&mut [self.count(k, k)].into_iter()),
            support: sum(&mut (0..self.classes).map(|other| self.count(k, other))),
            predicted: sum(&mut (0..self.classes).map(|other| self.count(other, k))),
        };
        (0..self.classes).map(of_class).collect()
    }

    /// Returns the fraction of pixels with the correct class (Keras' SparseCategoricalAccuracy); NaN if none was
    /// counted.
    pub fn accuracy(&self) -> f64 {
        tally::accuracy(&self.tallies())
    }

    /// Returns the intersection over union of each class: `hits / (hits + misses + false alarms)` (Jaccard). `None` for
    /// a class in neither targets nor predictions.
    pub fn iou(&self) -> Vec<Option<f64>> {
        self.tallies().iter().map(Tally::iou).collect()
    }

    /// Returns the mean of [`Self::iou`] over the classes that have a value; NaN if none has.
    pub fn mean_iou(&self) -> f64 {
        tally::mean_iou(&self.tallies())
    }

    /// Returns the Dice coefficient (F1) of each class: `2 hits / (2 hits + misses + false alarms)`. `None` as in
    /// [`Self::iou`].
    pub fn dice(&self) -> Vec<Option<f64>> {
        self.tallies().iter().map(Tally::dice).collect()
    }

    /// Returns the mean over the classes that have a value; NaN if none has.
    pub fn mean(of_classes: &[Option<f64>]) -> f64 {
        tally::mean(of_classes.iter().copied())
    }

    /// Returns all scores by name: `accuracy`, `mean_iou`, `mean_dice`, `mean_precision`, `mean_recall`, `fw_iou`,
    /// `kappa`, then `iou/CLASS`, `dice/CLASS`, `precision/CLASS` and `recall/CLASS` for each class, NaN without a
    /// value, and `pixels`.
    pub fn scores(&self, classes: &[String]) -> Scores {
        tally::scores(&self.tallies(), classes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: targets 0 0 0 1 1, predictions 0 0 1 1 0; class 2 appears nowhere.
    #[test]
    fn scores_of_a_small_case() {
        let confusion = Confusion::new(3, &[2, 1, 0, 1, 1, 0, 0, 0, 0]);
        assert_eq!((confusion.pixels(), confusion.accuracy()), (5, 0.6));
        assert_eq!(confusion.iou(), [Some(2.0 / 4.0), Some(1.0 / 3.0), None]);
        assert_eq!(confusion.dice(), [Some(4.0 / 6.0), Some(2.0 / 4.0), None]);
        assert_eq!(Confusion::mean(&confusion.iou()), (0.5 + 1.0 / 3.0) / 2.0);
    }

    #[test]
    fn a_class_that_was_only_predicted_counts_as_zero() {
        assert_eq!(Confusion::new(2, &[1, 1, 0, 0]).iou(), [Some(0.5), Some(0.0)]);
    }

    #[test]
    fn ignored_targets_do_not_count() {
        let mut confusion = Confusion::new(2, &[]);
        confusion.add(255, 1, 5);
        confusion.add(1, 1, 3);
        assert_eq!(confusion.pixels(), 3);
        confusion.merge(&Confusion::new(2, &[0, 0, 4, 0]));
        assert_eq!((confusion.pixels(), confusion.mean_iou()), (7, 1.5 / 7.0));
    }

    #[test]
    fn nothing_has_no_score() {
        let nothing = Confusion::new(2, &[]);
        assert!(nothing.accuracy().is_nan() && Confusion::mean(&nothing.iou()).is_nan());
    }
}
