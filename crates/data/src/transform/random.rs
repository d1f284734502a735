//! Random numbers as a function of the place of use, not of earlier draws.
//!
//! A ChaCha8 generator has a key of 256 bits: the four numbers (seed, purpose, epoch, index) are that key, so two
//! different places never share a stream and no hashing is needed. Everything drawn from it is defined here in terms of
//! the cipher's 32-bit words, not by the distributions of the rand crate, which may change between versions. Only
//! additions, multiplications, divisions and square roots are used, which IEEE 754 rounds identically everywhere.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

/// Purpose of random numbers. The values are part of the meaning of a seed: never change or reuse one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The order of the samples of an epoch.
    Order = 1,
    /// The augmentation of a sample.
    Augment = 2,
    /// The shapes drawn for training.
    ShapesTrain = 3,
    /// The shapes drawn for validation.
    ShapesValidation = 4,
    /// The pixels that an index lists.
    Listed = 5,
    /// The samples that are repeated in a pass through the data.
    Repeated = 6,
}

/// A stream of random numbers.
pub(crate) struct Random(ChaCha8Rng);

impl Random {
    /// Creates the stream of one place. Uses without an epoch or index pass 0.
    pub(crate) fn new(seed: u64, purpose: Purpose, epoch: u64, index: u64) -> Self {
        Self::of_key([seed, purpose as u64, epoch, index])
    }

    /// Creates the stream of the transform at `position` of a list, for one sample. At position 0 it is that of
    /// `Purpose::Augment`.
    pub(crate) fn of_transform(seed: u64, position: u64, epoch: u64, index: u64) -> Self {
        Self::of_key([seed, Purpose::Augment as u64 | position << 8, epoch, index])
    }

    fn of_key(numbers: [u64; 4]) -> Self {
        let mut key = [0; 32];
        for (bytes, number) in key.chunks_exact_mut(8).zip(numbers) {
            bytes.copy_from_slice(&number.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(key))
    }

    /// Returns 32 random bits.
    pub(crate) fn bits(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// Returns true with this probability, from 0 to 1.
    pub(crate) fn chance(&mut self, probability: f32) -> bool {
        self.between(0.0, 1.0) >= 1.0 - probability
    }

    /// Returns an integer from `0` to `bound - 1`; 0 for a bound of 0. The multiplication's bias is below bound / 2^64.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let wide = u64::from(self.bits()) << 32 | u64::from(self.bits());
        ((u128::from(wide) * u128::from(bound)) >> 64) as u64
    }

    /// Returns a number from `low` up to, but not including, `high`, in steps of 2^-24 of the range.
    pub(crate) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * ((self.bits() >> 8) as f32 / (1 << 24) as f32)
    }

    /// Returns a unit vector in the plane, every direction equally likely. Avoids trigonometry, which systems round
    /// differently.
    pub(crate) fn direction(&mut self) -> [f32; 2] {
        loop {
            let [x, y] = [self.between(-1.0, 1.0), self.between(-1.0, 1.0)];
            let square = x * x + y * y;
            if (0.01..=1.0).contains(&square) {
                let length = square.sqrt();
                return [x / length, y / length];
            }
        }
    }

    /// Returns the numbers from 0 to `len - 1` in random order, every order equally likely (Fisher and Yates).
    pub(crate) fn permutation(&mut self, len: u64) -> Vec<u64> {
        let mut order: Vec<u64> = (0..len).collect();
        for last in (1..order.len()).rev() {
            order.swap(last, self.below(last as u64 + 1) as usize);
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn streams_are_what_they_were_in_every_version_before() {
        // The numbers are those of reference/chacha8.py.
        let mut random = Random::new(7, Purpose::Order, 2, 3);
        assert_eq!([random.bits(), random.bits()], [3_585_036_362, 688_299_944]);
        assert_eq!(Random::new(0, Purpose::Order, 0, 0).permutation(8), [4, 7, 6, 0, 1, 3, 5, 2]);
    }

    #[test]
    fn each_of_the_four_numbers_matters() {
        let streams = [(7, 2, 3), (8, 2, 3), (7, 3, 3), (7, 2, 4)];
        let mut first: Vec<u32> =
            streams.map(|(seed, epoch, index)| Random::new(seed, Purpose::Order, epoch, index).bits()).to_vec();
        first.push(Random::new(7, Purpose::Augment, 2, 3).bits());
        first.sort_unstable();
        first.dedup();
        assert_eq!(first.len(), 5);
    }

    #[test]
    fn a_coin_is_fair_and_a_permutation_uniform() {
        let mut random = Random::new(1, Purpose::Augment, 0, 0);
        let heads = (0..10_000).filter(|_| random.chance(0.5)).count();
        assert!((4_800..5_200).contains(&heads), "{heads}");
        let mut first = [0; 5];
        for epoch in 0..10_000 {
            first[Random::new(1, Purpose::Order, epoch, 0).permutation(5)[0] as usize] += 1;
        }
        assert!(first.iter().all(|count| (1_850..2_150).contains(count)), "{first:?}");
    }

    #[test]
    fn a_million_samples_are_all_there_and_well_mixed() {
        let order = Random::new(5, Purpose::Order, 0, 0).permutation(1_000_000);
        let mut seen = vec![false; order.len()];
        order.iter().for_each(|index| seen[*index as usize] = true);
        assert!(seen.into_iter().all(|seen| seen));
        // One fixed point is expected; half of the first half stays in it: 250,000, standard deviation 250.
        let stay = (0..).zip(&order).filter(|(place, index)| place == *index).count();
        let half = order[..500_000].iter().filter(|index| **index < 500_000).count();
        assert!(stay < 12 && half.abs_diff(250_000) < 1_500, "{stay}, {half}");
    }

    proptest! {
        #[test]
        fn numbers_stay_within_their_bounds(seed: u64, bound in 1u64.., low in -1e3f32..1e3, width in 0.1f32..1e3) {
            let mut random = Random::new(seed, Purpose::Augment, 0, 0);
            prop_assert!(random.below(bound) < bound);
            let number = random.between(low, low + width);
            prop_assert!((low..=low + width).contains(&number));
            let [x, y] = random.direction();
            prop_assert!((x * x + y * y - 1.0).abs() < 1e-5);
        }
    }
}
