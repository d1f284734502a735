//! Circles, squares and triangles on a textured ground, drawn on demand: a problem that needs no files, that a small
//! UNet solves in minutes, and that neither a constant guess nor the colours alone solve.
//!
//! A sample is a function of (seed, split, index) alone, the same on every machine.

mod draw;

use crate::error::Error;
use crate::list::split::Split;
use crate::load::Sample;
use crate::load::config::LoaderConfig;
use crate::load::dataset::Dataset;
use crate::load::pipeline::Normalize;
use crate::transform::named::{NamedOrListed, named_or_listed};
use crate::transform::random::{Purpose, Random};
use crate::transform::{Transform, usual};
use contract::Invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Minimum height and width, in pixels, at which the shapes can be distinguished.
const SMALLEST: u32 = 16;

/// Maximum number of samples: every epoch's order of them is a list in memory.
const MOST_SAMPLES: u64 = 100_000_000;

/// Configuration of the generated data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("x-resume" = "ask"))]
pub struct Shapes {
    /// Seed of the data set: another seed draws other samples.
    pub seed: u64,
    /// Height and width of the images, in pixels.
    pub size: [u32; 2],
    /// Number of training samples.
    pub train_samples: u64,
    /// Number of validation samples.
    pub validation_samples: u64,
    /// Batching and loading of samples.
    pub loader: LoaderConfig,
    /// Augmentation of training samples: a list of transforms, applied in order, or the name of one: `"nnunet"`.
    #[serde(deserialize_with = "named_or_listed")]
    #[schemars(with = "NamedOrListed")]
    pub transforms: Vec<Transform>,
    /// Mean and standard deviation of the channels; without them, values are divided by 255.
    pub normalize: Option<Normalize>,
}

impl Default for Shapes {
    fn default() -> Self {
        Self {
            seed: 0,
            size: [64, 64],
            train_samples: 800,
            validation_samples: 200,
            loader: LoaderConfig::default(),
            transforms: usual(),
            normalize: None,
        }
    }
}

impl Shapes {
    /// Names of the classes, in the order of their ids.
    pub(crate) const CLASSES: [&str; 4] = ["background", "circle", "square", "triangle"];

    /// Refuses values that are invalid for this data set in particular.
    pub(crate) fn check(&self) -> Result<(), Invalid> {
        let [height, width] = self.size;
        Invalid::unless(height.min(width) >= SMALLEST, "size", || {
            format!("must be at least {SMALLEST} pixels, is {}", height.min(width))
        })?;
        for (key, samples) in [("train_samples", self.train_samples), ("validation_samples", self.validation_samples)] {
            Invalid::unless((1..=MOST_SAMPLES).contains(&samples), key, || {
                format!("must be 1 to {MOST_SAMPLES}, is {samples}")
            })?;
        }
        Ok(())
    }

    pub(crate) fn open(&self, split: Split) -> Drawn {
        let (purpose, name, len) = match split {
            Split::Train => (Purpose::ShapesTrain, "train", self.train_samples),
            Split::Validation => (Purpose::ShapesValidation, "validation", self.validation_samples),
        };
        Drawn { seed: self.seed, purpose, name, len, size: self.size }
    }
}

/// One split of the data set.
pub(crate) struct Drawn {
    seed: u64,
    purpose: Purpose,
    name: &'static str,
    len: u64,
    size: [u32; 2],
}

impl Drawn {
    fn random(&self, index: u64) -> Result<Random, Error> {
        if index >= self.len {
            return Err(Error::Index { index, len: self.len });
        }
        Ok(Random::new(self.seed, self.purpose, 0, index))
    }
}

impl Dataset for Drawn {
    fn len(&self) -> u64 {
        self.len
    }

    fn size(&self) -> Option<[u32; 2]> {
        Some(self.size)
    }

    fn name(&self, index: u64) -> String {
        format!("shapes-{}-{index:05}", self.name)
    }

    fn load(&self, index: u64, sample: &mut Sample) -> Result<(), Error> {
        *sample = draw::draw(&mut self.random(index)?, self.size);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify;
    use proptest::prelude::*;

    fn load(shapes: &Drawn, index: u64) -> Result<Sample, Error> {
        let mut sample = Sample::default();
        shapes.load(index, &mut sample).map(|()| sample)
    }

    fn both() -> [Drawn; 2] {
        [Split::Train, Split::Validation].map(|split| Shapes::default().open(split))
    }

    #[test]
    fn a_sample_depends_on_seed_split_and_index_alone() {
        let [train, validation] = both();
        let other = Shapes { seed: 1, ..Shapes::default() }.open(Split::Train);
        let sample = load(&train, 3).unwrap();
        load(&train, 4).unwrap();
        assert_eq!(load(&train, 3).unwrap(), sample);
        for different in [load(&train, 4), load(&validation, 3), load(&other, 3)] {
            assert_ne!(different.unwrap(), sample);
        }
        assert!(matches!(load(&train, 800), Err(Error::Index { index: 800, len: 800 })));
        assert_eq!(validation.name(7), "shapes-validation-00007");
    }

    #[test]
    fn samples_are_what_they_were_in_every_version_before() {
        // FNV-1a over image and mask. Published results are worthless if a seed comes to mean other pictures.
        let [train, _] = both();
        let sample = load(&train, 0).unwrap();
        let bytes = sample.image.bytes().iter().chain(sample.target.classes());
        let hash =
            bytes.fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        assert_eq!(hash, 1_703_452_715_824_707_114);
    }

    #[test]
    fn a_constant_guess_gets_nowhere_and_no_class_is_rare() {
        for split in both() {
            verify(&split, 4, 2).unwrap();
            let mut counts = [0u64; 4];
            for index in 0..split.len() {
                split.target(index).unwrap().classes().iter().for_each(|class| counts[*class as usize] += 1);
            }
            let share = counts.map(|count| count as f64 / counts.iter().sum::<u64>() as f64);
            // A constant guess has the IoU of its class's share, and 0 for the other three classes.
            let best = share.into_iter().fold(0.0, f64::max) / 4.0;
            assert!(best < 0.25, "{share:?}");
            assert!((0.55..0.85).contains(&share[0]), "{share:?}");
            assert!(share[1..].iter().all(|share| (0.05..0.2).contains(share)), "{share:?}");
        }
    }

    #[test]
    fn colours_do_not_give_the_classes_away() {
        let [train, _] = both();
        let mut sums = [[0f64; 3]; 4];
        let mut counts = [0f64; 4];
        for index in 0..400 {
            let sample = load(&train, index).unwrap();
            for (pixel, class) in sample.image.bytes().chunks(3).zip(sample.target.classes()) {
                counts[*class as usize] += 1.0;
                pixel.iter().zip(&mut sums[*class as usize]).for_each(|(value, sum)| *sum += f64::from(*value));
            }
        }
        let means: Vec<f64> = (0..12).map(|place| sums[place / 3][place % 3] / counts[place / 3]).collect();
        let spread = means.iter().copied().fold(0.0, f64::max) - means.iter().copied().fold(255.0, f64::min);
        assert!(spread < 30.0, "mean colours differ by {spread}: {means:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn any_size_works(seed: u64, height in 16u32..100, width in 16u32..100) {
            let shapes = Shapes { seed, size: [height, width], ..Shapes::default() };
            let sample = load(&shapes.open(Split::Train), 0).unwrap();
            let ids = sample.target.classes();
            prop_assert_eq!(sample.image.len(), ids.len() * 3);
            prop_assert_eq!(ids.len(), (height * width) as usize);
            prop_assert!(ids.iter().any(|class| *class > 0) && ids.contains(&0));
        }
    }
}
