//! Frequencies of the samples in training: how often each is drawn for one draw of the most common.

use crate::load::class_index::ClassIndex;
use contract::Invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Choice of training samples, named by its key `kind`. The frequency of a class is the share of the samples that show
/// it; a sample goes by the rarest of its classes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Sampler {
    /// Draws each sample as often as any other.
    Uniform {},
    /// Draws samples of classes below a frequency more often: `max(1, sqrt(threshold / frequency))` times (A. Gupta, P.
    /// Dollár and R. Girshick, "LVIS: A Dataset for Large Vocabulary Instance Segmentation", CVPR 2019).
    RepeatFactors {
        /// Frequency below which a class is rare; above 0 and up to 1.
        threshold: f64,
    },
    /// Draws samples in inverse proportion to the frequency of their rarest class.
    Balanced {},
}

impl Default for Sampler {
    fn default() -> Self {
        Self::Uniform {}
    }
}

impl Sampler {
    /// Refuses invalid values; keys are relative to this section.
    pub fn check(&self) -> Result<(), Invalid> {
        match *self {
            Self::RepeatFactors { threshold } => {
                Invalid::unless(threshold > 0.0 && threshold <= 1.0, "threshold", || {
                    format!("must be a share of the samples above 0 and up to 1, is {threshold}")
                })
            }
            Self::Uniform {} | Self::Balanced {} => Ok(()),
        }
    }

    /// Returns for each of `samples` samples how often it is drawn, at least once, while one of common classes is drawn
    /// once; `None` if that is the same for all by definition.
    ///
    /// # Errors
    ///
    /// Refuses a sampler without an index of the classes, and one that draws all samples equally often.
    pub(crate) fn factors(&self, index: Option<&dyn ClassIndex>, samples: u64) -> Result<Option<Vec<f64>>, Invalid> {
        let invalid = |problem: String| Invalid { key: "loader.sampler".into(), problem };
        let rate = |frequency: f64| match self {
            Self::Uniform {} => 1.0,
            Self::RepeatFactors { threshold } => (threshold / frequency).sqrt().max(1.0),
            Self::Balanced {} => 1.0 / frequency,
        };
        if *self == Self::default() {
            return Ok(None);
        }
        let index = index.ok_or_else(|| {
            invalid(
                "needs an index of the classes: open the data with Config::open_cached, or pass them to indexed".into(),
            )
        })?;
        let mut counts = [0u64; 256];
        (0..samples).flat_map(|at| index.present(at)).for_each(|present| counts[usize::from(present.class)] += 1);
        let frequency = |class: u8| counts[usize::from(class)] as f64 / samples.max(1) as f64;
        let factor = |at| index.present(at).iter().map(|present| rate(frequency(present.class))).fold(1.0, f64::max);
        let mut factors: Vec<f64> = (0..samples).map(factor).collect();
        let least = factors.iter().copied().fold(f64::INFINITY, f64::min);
        if factors.iter().all(|factor| *factor == least) {
            let rarest = (0..=u8::MAX).map(frequency).filter(|share| *share > 0.0).fold(1.0, f64::min);
            return Err(invalid(format!(
                "changes nothing, for every sample would be drawn equally often: the rarest class is in {:.4} of the \
                 {samples} samples; leave it out, raise a threshold above that, or set `foreground` of random_crop, \
                 which chooses within samples",
                rarest
            )));
        }
        factors.iter_mut().for_each(|factor| *factor /= least);
        Ok(Some(factors))
    }
}
