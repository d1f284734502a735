//! Operations drawn at random, all of one strength.

pub(crate) mod operation;
pub(super) mod tone;

use crate::load::Sample;
use crate::transform::bounds::{share, within};
use crate::transform::random::Random;
use crate::transform::scratch::{Scratch, channels};
use contract::Invalid;
use operation::Operation;
use raster::Depth;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Applies a few operations, drawn anew for each sample from a list and all of one strength. Operations of the geometry
/// move image and mask together. (E. D. Cubuk and others, "RandAugment: Practical Automated Data Augmentation with a
/// Reduced Search Space", 2020; with torchvision's numbers.)
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RandAugment {
    /// Number of operations that a sample goes through, from 1 to 20. The same one may be drawn again.
    pub count: u32,
    /// Strength of the operations, from 0 to 30.
    pub magnitude: f32,
    /// Operations to draw from, all equally likely. `null` draws from the paper's 14, without those that do not suit
    /// the images.
    pub operations: Option<Vec<Operation>>,
    /// Probability of applying it, from 0 to 1.
    pub probability: f32,
}

/// Largest magnitude.
const MOST: f32 = 30.0;

impl Default for RandAugment {
    fn default() -> Self {
        Self { count: 2, magnitude: 9.0, operations: None, probability: 1.0 }
    }
}

impl RandAugment {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        Invalid::unless((1..=20).contains(&self.count), "count", || format!("must be 1 to 20, is {}", self.count))?;
        within("magnitude", self.magnitude, 0.0..=MOST)?;
        Invalid::unless(
            self.operations.as_ref().is_none_or(|operations| !operations.is_empty()),
            "operations",
            || "must name at least one operation, is []; null draws from the paper's".into(),
        )?;
        share("probability", self.probability)
    }

    /// Refuses operations that cannot change images of this many bands and this depth.
    pub(super) fn suits(&self, bands: u32, depth: Depth) -> Result<(), Invalid> {
        for (position, operation) in self.operations.iter().flatten().enumerate() {
            operation
                .suits(bands as usize, depth)
                .map_err(|problem| Invalid { key: format!("operations[{position}]"), problem: problem.into() })?;
        }
        Ok(())
    }

    pub(super) fn apply(&self, sample: &mut Sample, scratch: &mut Scratch, random: &mut Random) {
        if !random.chance(self.probability) {
            return;
        }
        let usual;
        let operations = match &self.operations {
            Some(operations) => operations,
            None => {
                usual = Operation::usual(channels(sample), sample.image.depth());
                &usual
            }
        };
        for _ in 0..self.count {
            if let Some(operation) = operations.get(random.below(operations.len() as u64) as usize) {
                operation.apply(self.magnitude / MOST, sample, scratch, random);
            }
        }
    }
}
