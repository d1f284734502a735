//! Counts of a validation, and the rule by which a step is kept.

use metric::Confusion;

/// Smallest gain in mean IoU for which a step is kept: less is not seen in four digits.
const LEAST_GAIN: f64 = 1e-4;

/// A confusion matrix that is being counted: rows are targets, columns predictions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    classes: usize,
    cells: Vec<i64>,
}

impl Counts {
    /// Creates a matrix of zeros.
    pub fn new(classes: usize) -> Self {
        Self { classes, cells: vec![0; classes * classes] }
    }

    /// Returns the number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Counts pixels. Targets that are no class (ignored ones) do not count.
    pub fn add(&mut self, target: u8, predicted: u8, pixels: i64) {
        let cell = usize::from(target) * self.classes + usize::from(predicted);
        if let Some(count) = self.cells.get_mut(cell).filter(|_| usize::from(target) < self.classes) {
            *count += pixels;
        }
    }

    /// Adds the counts of another matrix.
    pub fn merge(&mut self, other: &Self) {
        self.cells.iter_mut().zip(&other.cells).for_each(|(all, more)| *all += more);
    }

    /// Returns the matrix.
    pub fn confusion(&self) -> Confusion {
        Confusion::new(self.classes, &self.cells)
    }

    /// Returns the mean IoU.
    pub fn score(&self) -> f64 {
        Confusion::mean(&self.confusion().iou())
    }

    /// Returns true if a step for `class` that leads to `self` is kept: nnU-Net's rule, the mean over all images rises
    /// and the class's own score does not fall.
    pub fn is_better_than(&self, before: &Self, class: u8) -> bool {
        let own = |counts: &Self| counts.confusion().iou().get(usize::from(class)).copied().flatten();
        let is_no_worse = match (own(before), own(self)) {
            (Some(before), Some(after)) => after >= before,
            // A class that is in no mask, and in no prediction any more.
            (_, None) => true,
            (None, Some(_)) => false,
        };
        is_no_worse && self.score() >= before.score() + LEAST_GAIN
    }
}

/// Result of trying a step.
#[derive(Debug)]
pub struct Tried {
    /// Name of the step.
    pub step: &'static str,
    /// Class that it was tried for.
    pub class: u8,
    /// The best value, of steps that have values.
    pub value: Option<f64>,
    /// Mean IoU without and with it.
    pub before: f64,
    pub after: f64,
    pub kept: bool,
}

/// Returns the best of several candidates for a step of `class`, and true if it is kept. Of equals, the first.
pub fn choose<'c, V: Copy>(before: &Counts, candidates: &'c [(V, Counts)], class: u8) -> Option<(V, &'c Counts, bool)> {
    let kept = |counts: &Counts| counts.is_better_than(before, class);
    let better = candidates.iter().reduce(|best, next| {
        let key = |counts: &Counts| (kept(counts), counts.score());
        if key(&next.1) > key(&best.1) { next } else { best }
    });
    better.map(|(value, counts)| (*value, counts, kept(counts)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(cells: [i64; 4]) -> Counts {
        Counts { classes: 2, cells: cells.into() }
    }

    #[test]
    fn a_step_is_kept_only_if_mean_and_class_allow_it() {
        let before = counts([60, 20, 10, 10]);
        // The mean rises with class 1, or at its expense, or too little to be seen.
        assert!(counts([70, 10, 10, 10]).is_better_than(&before, 1));
        let worse = counts([99, 1, 19, 1]);
        let dominant = counts([60, 40, 10, 10]);
        assert!(worse.score() > dominant.score() && !worse.is_better_than(&dominant, 1));
        let large = counts([6_000_000, 2_000_000, 1_000_000, 1_000_000]);
        let slightly = counts([6_000_001, 1_999_999, 1_000_000, 1_000_000]);
        assert!(slightly.score() > large.score() && !slightly.is_better_than(&large, 1));
    }

    #[test]
    fn the_best_candidate_that_is_kept_is_chosen() {
        let before = counts([60, 40, 10, 10]);
        let candidates = [(1, counts([70, 30, 10, 10])), (2, counts([99, 1, 19, 1])), (3, counts([80, 20, 10, 10]))];
        let (value, _, kept) = choose(&before, &candidates, 1).unwrap();
        assert_eq!((value, kept), (3, true));
        let (value, _, kept) = choose(&before, &candidates[1..2], 1).unwrap();
        assert_eq!((value, kept), (2, false));
        assert!(choose::<u8>(&before, &[], 1).is_none());
    }

    #[test]
    fn ignored_targets_do_not_count() {
        let mut counts = Counts::new(2);
        counts.add(255, 1, 5);
        counts.add(1, 1, 3);
        assert_eq!(counts.confusion().pixels(), 3);
    }
}
