//! The rule by which a step is kept.

use metric::Confusion;

/// Smallest gain in mean IoU for which a step is kept: less is not seen in four digits.
const LEAST_GAIN: f64 = 1e-4;

/// Returns true if a step for `class` that leads from `before` to `after` is kept: nnU-Net's rule, the mean over all
/// images rises and the class's own score does not fall.
pub fn is_better(after: &Confusion, before: &Confusion, class: u8) -> bool {
    let own = |counts: &Confusion| counts.iou().get(usize::from(class)).copied().flatten();
    let is_no_worse = match (own(before), own(after)) {
        (Some(before), Some(after)) => after >= before,
        // A class that is in no mask, and in no prediction any more.
        (_, None) => true,
        (None, Some(_)) => false,
    };
    is_no_worse && after.mean_iou() >= before.mean_iou() + LEAST_GAIN
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
pub fn choose<'c, V: Copy>(
    before: &Confusion,
    candidates: &'c [(V, Confusion)],
    class: u8,
) -> Option<(V, &'c Confusion, bool)> {
    let kept = |counts: &Confusion| is_better(counts, before, class);
    let better = candidates.iter().reduce(|best, next| {
        let key = |counts: &Confusion| (kept(counts), counts.mean_iou());
        if key(&next.1) > key(&best.1) { next } else { best }
    });
    better.map(|(value, counts)| (*value, counts, kept(counts)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(cells: [i64; 4]) -> Confusion {
        Confusion::new(2, &cells)
    }

    #[test]
    fn a_step_is_kept_only_if_mean_and_class_allow_it() {
        let before = counts([60, 20, 10, 10]);
        // The mean rises with class 1, or at its expense, or too little to be seen.
        assert!(is_better(&counts([70, 10, 10, 10]), &before, 1));
        let worse = counts([99, 1, 19, 1]);
        let dominant = counts([60, 40, 10, 10]);
        assert!(worse.mean_iou() > dominant.mean_iou() && !is_better(&worse, &dominant, 1));
        let large = counts([6_000_000, 2_000_000, 1_000_000, 1_000_000]);
        let slightly = counts([6_000_001, 1_999_999, 1_000_000, 1_000_000]);
        assert!(slightly.mean_iou() > large.mean_iou() && !is_better(&slightly, &large, 1));
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
}
