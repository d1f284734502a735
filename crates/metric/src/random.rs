//! Random numbers of resampling. The key is a constant, so the same images always give the same interval.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Purpose of random numbers; each has a stream of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The images of a bootstrap sample.
    Bootstrap = 1,
    /// The signs of a permutation.
    Signs = 2,
}

/// A stream of random numbers.
pub struct Random(ChaCha8Rng);

impl Random {
    /// Creates the stream of one purpose, from its start.
    pub fn new(purpose: Purpose) -> Self {
        Self(ChaCha8Rng::from_seed([purpose as u8; 32]))
    }

    /// Returns an integer from `0` to `bound - 1`; 0 for a bound of 0. The multiplication's bias is below bound / 2^64.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.bits()) * bound as u128) >> 64) as usize
    }

    /// Returns 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }
}
