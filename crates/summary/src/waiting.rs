//! Bounded buffer of data that is not written yet.

use std::{collections::VecDeque, ops::Range};

/// Pieces that wait, in order. At the bound, bulky pieces are dropped, the oldest first; if none is left, the new piece
/// is dropped.
#[derive(Debug)]
pub struct Waiting {
    bytes: Vec<u8>,
    /// Ranges of the bulky pieces in `bytes`.
    bulky: VecDeque<Range<usize>>,
    bound: usize,
    dropped: u64,
}

impl Waiting {
    /// Returns an empty buffer of at most `bound` bytes.
    pub fn new(bound: usize) -> Self {
        Self { bytes: Vec::new(), bulky: VecDeque::new(), bound, dropped: 0 }
    }

    /// Appends a piece.
    pub fn push(&mut self, piece: &[u8], bulky: bool) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(piece);
        if bulky {
            self.bulky.push_back(start..self.bytes.len());
        }
        while self.bytes.len() > self.bound {
            self.dropped += 1;
            let Some(oldest) = self.bulky.pop_front() else {
                self.bytes.truncate(self.bytes.len() - piece.len());
                break;
            };
            for range in &mut self.bulky {
                *range = range.start - oldest.len()..range.end - oldest.len();
            }
            self.bytes.drain(oldest);
        }
    }

    /// Returns all bytes that wait.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Empties the buffer, after its bytes were written or given up.
    pub fn clear(&mut self) {
        self.bytes.clear();
        // Images are rare: their memory need not be kept until the next.
        self.bytes.shrink_to(64 << 10);
        self.bulky.clear();
    }

    /// Returns the number of dropped pieces.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_oldest_bulky_pieces_go_first_and_then_the_one_that_comes() {
        let mut waiting = Waiting::new(8);
        for (piece, bulky) in [("aa", false), ("BB", true), ("cc", false), ("DD", true)] {
            waiting.push(piece.as_bytes(), bulky);
        }
        assert_eq!((waiting.bytes(), waiting.dropped()), (b"aaBBccDD".as_slice(), 0));
        waiting.push(b"e", false);
        assert_eq!((waiting.bytes(), waiting.dropped()), (b"aaccDDe".as_slice(), 1));
        waiting.push(b"fff", false);
        assert_eq!((waiting.bytes(), waiting.dropped()), (b"aaccefff".as_slice(), 2));
        waiting.push(b"g", false);
        assert_eq!((waiting.bytes(), waiting.dropped()), (b"aaccefff".as_slice(), 3));
        waiting.clear();
        waiting.push(b"HHHHHHHHH", true);
        waiting.push(b"i", false);
        assert_eq!((waiting.bytes(), waiting.dropped()), (b"i".as_slice(), 4));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]
        #[test]
        fn it_stays_within_its_bound_and_pieces_stay_whole_and_in_order(
            pieces in prop::collection::vec((1usize..12, any::<bool>()), 0..40),
        ) {
            let mut waiting = Waiting::new(30);
            for (number, (length, bulky)) in pieces.iter().enumerate() {
                waiting.push(&vec![number as u8; *length], *bulky);
                prop_assert!(waiting.bytes().len() <= 30);
            }
            let kept: Vec<&[u8]> = waiting.bytes().chunk_by(|a, b| a == b).collect();
            prop_assert!(kept.is_sorted());
            prop_assert!(kept.iter().all(|piece| piece.len() == pieces[usize::from(piece[0])].0));
            prop_assert_eq!(kept.len() as u64 + waiting.dropped(), pieces.len() as u64);
        }
    }
}
