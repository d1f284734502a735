//! The part of each batch that one of several ranks loads.

use contract::Share;
use std::ops::Range;

/// One of `count` ranks, which divide each batch into contiguous parts, the earlier ranks' the longer ones. Their
/// lengths differ by at most one, so a batch of fewer samples than ranks leaves the last ranks none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    rank: u64,
    count: u64,
}

impl Part {
    /// The whole batch: the part of the only rank.
    pub const WHOLE: Self = Self { rank: 0, count: 1 };

    pub fn new(rank: usize, count: usize) -> Self {
        Self { rank: rank as u64, count: count.max(1) as u64 }
    }

    /// Returns the parts of all ranks, in their order.
    pub fn all(self) -> impl Iterator<Item = Self> {
        (0..self.count).map(move |rank| Self { rank, ..self })
    }

    /// Returns the part of the places of a batch.
    pub fn of(self, batch: &Range<u64>) -> Range<u64> {
        let length = batch.end - batch.start;
        let (least, longer) = (length / self.count, length % self.count);
        let before = |rank: u64| rank.saturating_mul(least).saturating_add(rank.min(longer)).min(length);
        batch.start + before(self.rank)..batch.start + before(self.rank.saturating_add(1))
    }

    /// Returns the share of a batch; None if that is all of it.
    pub fn share(self, batch: &Range<u64>) -> Option<Share> {
        let first = (self.of(batch).start - batch.start) as usize;
        (self.count > 1).then_some(Share { first, of: (batch.end - batch.start) as usize })
    }

    /// Returns the number of ranks without a sample of a batch of this length.
    pub fn idle(self, length: u64) -> u64 {
        self.count.saturating_sub(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_follow_each_other_and_differ_by_at_most_one() {
        for (length, expected) in [(7, vec![0..3, 3..5, 5..7]), (2, vec![0..1, 1..2, 2..2]), (0, vec![0..0; 3])] {
            let parts: Vec<_> = (0..3).map(|rank| Part::new(rank, 3).of(&(0..length))).collect();
            assert_eq!(parts, expected);
        }
        for (count, length) in (1..9).flat_map(|count| (0..40).map(move |length| (count, length))) {
            let parts: Vec<_> = (0..count).map(|rank| Part::new(rank, count).of(&(100..100 + length))).collect();
            assert_eq!((parts[0].start, parts[count - 1].end), (100, 100 + length));
            assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start), "{parts:?}");
            let lengths: Vec<u64> = parts.iter().map(|part| part.end - part.start).collect();
            assert!(lengths.is_sorted_by(|left, right| left >= right) && lengths[0] - lengths[count - 1] <= 1);
            let idle = lengths.iter().filter(|length| **length == 0).count() as u64;
            assert_eq!(Part::new(0, count).idle(length), idle);
        }
    }

    #[test]
    fn the_whole_has_no_share_and_impossible_ranks_get_nothing() {
        assert_eq!((Part::WHOLE.of(&(5..9)), Part::WHOLE.share(&(5..9))), (5..9, None));
        assert_eq!(Part::new(1, 2).share(&(5..8)), Some(Share { first: 2, of: 3 }));
        for part in [Part::new(3, 2), Part::new(usize::MAX, 5), Part::new(1, 0)] {
            assert_eq!(part.of(&(5..9)), 9..9);
        }
    }
}
