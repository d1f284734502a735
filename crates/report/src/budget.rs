//! Time budget of the epochs.

use crate::{History, Stage};

/// Parts of an epoch's time, in the order in which the page stacks them; the names after `seconds/` in `metrics.jsonl`.
/// The remainder of an epoch comes last, as [`OTHER`].
pub(crate) const PARTS: [&str; 6] = ["compute", "data", "transfer", "validation", "logging", "checkpoint"];

/// Name of the time that the parts do not cover.
pub(crate) const OTHER: &str = "other";

/// Seconds of consecutive epochs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Slice {
    /// First and last epoch, counted from 1.
    pub epochs: (u64, u64),
    /// Seconds for each of [`PARTS`], then for [`OTHER`].
    pub seconds: [f64; PARTS.len() + 1],
}

impl Slice {
    pub fn total(&self) -> f64 {
        self.seconds.iter().sum()
    }

    /// Adds the seconds of the epochs of `next`, which follow.
    fn extend(&mut self, next: &Slice) {
        self.epochs.1 = next.epochs.1;
        self.seconds.iter_mut().zip(next.seconds).for_each(|(sum, seconds)| *sum += seconds);
    }

    /// Merges several slices into one; `None` if there are none.
    pub fn sum(slices: &[Slice]) -> Option<Slice> {
        let (first, rest) = slices.split_first()?;
        let mut sum = first.clone();
        rest.iter().for_each(|slice| sum.extend(slice));
        Some(sum)
    }
}

/// Returns a slice for each timed epoch. `seconds/epoch` is the whole epoch, including validation and saving; if it is
/// missing, or less than its parts, the sum of the parts is used.
pub(crate) fn epochs(history: &History) -> Vec<Slice> {
    let slice = |line: &crate::Line| {
        let known = PARTS.map(|part| line.get(&format!("seconds/{part}")));
        let whole = line.get("seconds/epoch");
        if known.iter().all(Option::is_none) {
            return None;
        }
        let parts = known.map(|seconds| seconds.unwrap_or(0.0).max(0.0));
        let other = (whole.unwrap_or(0.0) - parts.iter().sum::<f64>()).max(0.0);
        let mut seconds = [other; PARTS.len() + 1];
        seconds[..PARTS.len()].copy_from_slice(&parts);
        Some(Slice { epochs: (line.epoch, line.epoch), seconds })
    };
    history.of(Stage::Train).filter_map(slice).collect()
}

/// Merges consecutive slices, the same number each time, so that at most `most` remain.
pub(crate) fn grouped(slices: &[Slice], most: usize) -> Vec<Slice> {
    let size = slices.len().div_ceil(most.max(1)).max(1);
    slices.chunks(size).filter_map(Slice::sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::testing::{history, scalars};

    fn timed(epochs: u64) -> History {
        history(
            epochs,
            |_| scalars(&[("seconds/compute", 6.0), ("seconds/data", 2.0), ("seconds/epoch", 10.0)]),
            |_| None,
        )
    }

    #[test]
    fn what_the_parts_do_not_cover_is_other() {
        let slices = epochs(&timed(3));
        assert_eq!(slices.len(), 3);
        assert_eq!(slices[1].epochs, (2, 2));
        assert_eq!(slices[1].seconds, [6.0, 2.0, 0.0, 0.0, 0.0, 0.0, 2.0]);
        assert_eq!(Slice::sum(&slices).unwrap().total(), 30.0);
    }

    #[test]
    fn an_epoch_is_never_less_than_its_parts() {
        let history = history(1, |_| scalars(&[("seconds/compute", 6.0), ("seconds/epoch", 5.0)]), |_| None);
        assert_eq!(epochs(&history)[0].total(), 6.0);
    }

    #[test]
    fn a_run_without_times_has_no_slices() {
        assert_eq!(epochs(&history(3, |_| scalars(&[("loss", 1.0), ("seconds/epoch", 1.0)]), |_| None)), []);
        assert_eq!(Slice::sum(&[]), None);
    }

    #[test]
    fn many_epochs_are_grouped_and_no_second_is_lost() {
        let grouped = grouped(&epochs(&timed(250)), 100);
        assert!(grouped.len() <= 100);
        assert_eq!((grouped[0].epochs, grouped[grouped.len() - 1].epochs), ((1, 3), (250, 250)));
        assert_eq!(Slice::sum(&grouped).unwrap().total(), 2500.0);
    }
}
