//! Decoded blocks that are kept, the least recently used of which go first.

use crate::error::Problem;
use std::collections::HashMap;

/// Place of a block: plane, row and column of the grid of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct At {
    pub(crate) plane: u32,
    pub(crate) row: u32,
    pub(crate) column: u32,
}

/// Decoder of blocks.
pub(crate) trait Blocks: Send {
    /// Replaces `into` by the numbers of a block: rows of the block's full width, the samples of a pixel side by side.
    /// The rows below the image's end may be left out.
    fn decode(&mut self, at: At, into: &mut Vec<u8>) -> Result<(), Problem>;
}

/// Decoded blocks, of together at most `most` bytes, or one alone.
pub(crate) struct Cache {
    most: usize,
    held: usize,
    clock: u64,
    blocks: HashMap<At, (Vec<u8>, u64)>,
}

impl Cache {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, held: 0, clock: 0, blocks: HashMap::new() }
    }

    /// Returns the block at `at`, decoded now unless it is kept.
    pub(crate) fn get(&mut self, at: At, expected: usize, decoder: &mut dyn Blocks) -> Result<&[u8], Problem> {
        self.clock += 1;
        if !self.blocks.contains_key(&at) {
            let mut buffer = self.make_room(expected);
            decoder.decode(at, &mut buffer)?;
            self.held += buffer.capacity();
            self.blocks.insert(at, (buffer, 0));
        }
        let Some((block, used)) = self.blocks.get_mut(&at) else {
            return Err(Problem::Damaged("a block that was decoded is gone".into()));
        };
        *used = self.clock;
        Ok(block)
    }

    /// Removes blocks until one of `expected` bytes fits, and returns the memory of one of them.
    fn make_room(&mut self, expected: usize) -> Vec<u8> {
        let mut spare = Vec::new();
        while self.held.saturating_add(expected) > self.most {
            let Some(oldest) = self.blocks.iter().min_by_key(|(_, (_, used))| *used).map(|(at, _)| *at) else { break };
            if let Some((block, _)) = self.blocks.remove(&oldest) {
                self.held -= block.capacity();
                spare = block;
            }
        }
        spare.clear();
        spare
    }

    /// Returns the bytes that are kept.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::{At, Blocks, Cache};
    use crate::error::{Problem, damaged};

    struct Counted(Vec<u32>);

    impl Blocks for Counted {
        fn decode(&mut self, at: At, into: &mut Vec<u8>) -> Result<(), Problem> {
            if at.row == 9 {
                return damaged("row 9");
            }
            self.0.push(at.column);
            into.clear();
            into.resize(100, at.column as u8);
            Ok(())
        }
    }

    #[test]
    fn the_least_recently_used_go_first_and_nothing_is_decoded_twice_while_it_is_kept() {
        let (mut cache, mut counted) = (Cache::new(320), Counted(Vec::new()));
        for column in [0, 1, 2, 0, 3, 0, 2, 1] {
            let at = At { plane: 0, row: 0, column };
            assert_eq!(cache.get(at, 100, &mut counted).unwrap(), [column as u8; 100]);
            assert!(cache.held() <= 320, "{}", cache.held());
        }
        assert_eq!(counted.0, [0, 1, 2, 3, 1]);
        let lost = cache.get(At { plane: 0, row: 9, column: 0 }, 100, &mut counted);
        assert!(lost.is_err());
        assert!(cache.held() <= 320);
    }

    #[test]
    fn a_block_larger_than_the_cache_is_read_nevertheless() {
        let (mut cache, mut counted) = (Cache::new(10), Counted(Vec::new()));
        for column in [4, 5, 5] {
            let at = At { plane: 0, row: 0, column };
            assert_eq!(cache.get(at, 100, &mut counted).unwrap().len(), 100);
        }
        assert_eq!(counted.0, [4, 5]);
    }
}
