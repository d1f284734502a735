//! Changes to a sample that leave what it shows true: the image and its mask move together.
//!
//! **Invariant:** what a transform does is a function of the sample and of the random stream of its place alone. Masks
//! take the nearest pixel, never a mean of classes; where nothing is known any more, the image is black and the mask
//! [`IGNORE`](crate::IGNORE).

mod flip;

use crate::dataset::Sample;
use crate::random::Random;
use contract::Invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A way to vary training samples, named by its key `kind`. Validation and prediction see samples as they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Transform {
    /// Mirrors left to right.
    HorizontalFlip {
        /// How often, from 0 to 1.
        #[serde(default = "half")]
        probability: f32,
    },
}

fn half() -> f32 {
    0.5
}

/// What training samples are varied with unless the configuration says otherwise: half of them are mirrored.
pub fn usual() -> Vec<Transform> {
    vec![Transform::HorizontalFlip { probability: half() }]
}

impl Transform {
    /// Complains about values that cannot work; keys are relative to this transform.
    pub fn check(&self) -> Result<(), Invalid> {
        match self {
            Self::HorizontalFlip { probability } => share("probability", *probability),
        }
    }

    /// Changes `sample` as `random` says. `spare` is room for whatever needs some.
    pub(crate) fn apply(&self, sample: &mut Sample, _spare: &mut Sample, random: &mut Random) {
        match self {
            Self::HorizontalFlip { probability } => {
                if random.chance(*probability) {
                    flip::horizontal(sample);
                }
            }
        }
    }
}

fn share(key: &str, value: f32) -> Result<(), Invalid> {
    Invalid::unless((0.0..=1.0).contains(&value), key, || format!("must be 0 to 1, is {value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_samples_are_mirrored_and_each_always_the_same_way() {
        let mirrored = |epoch, index| {
            let mut sample = flip::tests::marked();
            let mut random = Random::of_transform(5, 0, epoch, index);
            usual()[0].apply(&mut sample, &mut Sample::default(), &mut random);
            sample != flip::tests::marked()
        };
        let count = (0..1000).filter(|&index| mirrored(0, index)).count();
        assert!((430..570).contains(&count), "{count}");
        assert!((0..50).all(|index| mirrored(0, index) == mirrored(0, index)));
        assert!((0..50).any(|index| mirrored(0, index) != mirrored(1, index)));
    }

    #[test]
    fn a_probability_is_a_share() {
        for probability in [-0.1, 1.1, f32::NAN] {
            assert_eq!(Transform::HorizontalFlip { probability }.check().unwrap_err().key, "probability");
        }
    }
}
