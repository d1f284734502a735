//! Changes to a sample that leave what it shows true: the image and its mask move together.

use crate::dataset::Sample;
use crate::random::{Purpose, Random};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How training samples are varied. Validation and prediction see them as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {
    /// Mirror image and mask left to right, half of the time.
    pub horizontal_flip: bool,
}

impl Default for Augment {
    fn default() -> Self {
        Self { horizontal_flip: true }
    }
}

impl Augment {
    /// Varies `sample`, `width` pixels wide, as (seed, epoch, index) say.
    pub(crate) fn apply(&self, sample: &mut Sample, width: usize, seed: u64, epoch: u64, index: u64) {
        let mut random = Random::new(seed, Purpose::Augment, epoch, index);
        // Each draw is made whether it is used or not, so that switching one off leaves the others as they were.
        let mirrored = random.coin();
        if self.horizontal_flip && mirrored {
            flip(sample, width);
        }
    }
}

fn flip(sample: &mut Sample, width: usize) {
    for row in sample.image.chunks_exact_mut(width * 3) {
        let (pixels, _) = row.as_chunks_mut::<3>();
        pixels.reverse();
    }
    for row in sample.mask.chunks_exact_mut(width) {
        row.reverse();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked() -> Sample {
        // Every pixel is (row, column, class), so that the image says what its mask must be.
        let places = (0..2u8).flat_map(|row| (0..3u8).map(move |column| [row, column, row * 3 + column]));
        Sample { image: places.clone().flatten().collect(), mask: places.map(|place| place[2]).collect() }
    }

    #[test]
    fn image_and_mask_are_mirrored_together() {
        let mut sample = marked();
        flip(&mut sample, 3);
        assert_eq!(sample.mask, [2, 1, 0, 5, 4, 3]);
        assert_eq!(sample.image[..9], [0, 2, 2, 0, 1, 1, 0, 0, 0]);
        assert!(sample.image.chunks(3).zip(&sample.mask).all(|(pixel, class)| pixel[2] == *class));
    }

    #[test]
    fn half_of_the_samples_are_mirrored_and_each_always_the_same_way() {
        let mirrored = |epoch, index| {
            let mut sample = marked();
            Augment { horizontal_flip: true }.apply(&mut sample, 3, 5, epoch, index);
            sample != marked()
        };
        let count = (0..1000).filter(|&index| mirrored(0, index)).count();
        assert!((430..570).contains(&count), "{count}");
        assert!((0..50).all(|index| mirrored(0, index) == mirrored(0, index)));
        assert!((0..50).any(|index| mirrored(0, index) != mirrored(1, index)));
    }

    #[test]
    fn nothing_happens_unless_it_is_asked_for() {
        for index in 0..20 {
            let mut sample = marked();
            Augment { horizontal_flip: false }.apply(&mut sample, 3, 5, 0, index);
            assert_eq!(sample, marked());
        }
    }
}
