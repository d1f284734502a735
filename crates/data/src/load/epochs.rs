//! The samples of each epoch of training: pieces of one endless stream of passes through the data.
//!
//! A pass holds every sample at least once, in random order. An epoch is as long as the configuration says, and the
//! next one goes on where it ended, so no sample is left out over time. Without a length of its own, and with the
//! uniform sampler, an epoch is one pass.
//!
//! **Invariant:** the samples of an epoch are a function of (seed, epoch), of the number of samples and of their
//! frequencies. Each draw within a pass has a number of its own for its augmentation.

use crate::load::config::LoaderConfig;
use crate::load::dataset::Dataset;
use crate::transform::random::{Purpose, Random};
use contract::Invalid;

/// Bits of a draw's number that hold the pass; the others hold the repetition.
const PASS_BITS: u32 = 40;

/// A sample at a place of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Draw {
    /// Index of the sample.
    pub(crate) index: u64,
    /// Number that tells the draws of this sample apart: the pass, and the repetition within it. Where an epoch is one
    /// pass without repetitions, it is the epoch.
    pub(crate) turn: u64,
}

/// The epochs of a training.
#[derive(Debug)]
pub(crate) struct Epochs {
    seed: u64,
    /// Number of samples of an epoch.
    length: u64,
    /// Number of samples of a pass.
    pass: u64,
    /// For each sample the sum of the repetitions of those before it in a pass, and at the end that of all; `None` if
    /// each is in a pass once.
    sums: Option<Vec<f64>>,
}

/// One epoch: the passes that it overlaps.
#[derive(Debug)]
pub(crate) struct Epoch {
    /// Place of its first sample in the first pass.
    first: u64,
    /// Number of the first pass.
    number: u64,
    passes: Vec<Pass>,
}

/// One pass through the data.
#[derive(Debug)]
struct Pass {
    order: Vec<u64>,
    /// For each sample the number of draws before its own in the unshuffled pass; `None` if each is drawn once.
    starts: Option<Vec<u64>>,
}

impl Epochs {
    /// Creates the epochs of `dataset`.
    ///
    /// # Errors
    ///
    /// Refuses a sampler that cannot work with this data set, or changes nothing.
    pub(crate) fn new(config: &LoaderConfig, dataset: &dyn Dataset, seed: u64) -> Result<Self, Invalid> {
        let samples = dataset.len();
        let length = if samples == 0 { 0 } else { config.epoch_samples.unwrap_or(samples) };
        let Some(factors) = config.sampler.factors(dataset.class_index(), samples)? else {
            return Ok(Self { seed, length, pass: samples, sums: None });
        };
        // Rounded up, so that every sample stays in each pass at least once.
        let pass = factors.iter().sum::<f64>().ceil();
        let scale = pass / factors.iter().sum::<f64>();
        let mut sum = 0.0;
        let mut sums: Vec<f64> = std::iter::once(0.0)
            .chain(factors.iter().map(|factor| {
                sum += factor * scale;
                sum
            }))
            .collect();
        if let Some(last) = sums.last_mut() {
            *last = pass;
        }
        Ok(Self { seed, length, pass: pass as u64, sums: Some(sums) })
    }

    /// Returns the number of samples of an epoch.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Returns an epoch.
    pub(crate) fn epoch(&self, epoch: u64) -> Epoch {
        let pass = self.pass.max(1);
        // Epochs of any number exist, so their product has more than 64 bits.
        let begin = u128::from(epoch) * u128::from(self.length);
        let (number, first) = ((begin / u128::from(pass)) as u64, (begin % u128::from(pass)) as u64);
        let count = first.saturating_add(self.length).div_ceil(pass);
        Epoch { first, number, passes: (0..count).map(|more| self.pass(number.wrapping_add(more))).collect() }
    }

    /// Returns a pass. Repetitions are drawn by systematic sampling: each sample has its factor as the mean, and never
    /// more or fewer than its two neighbouring whole numbers (W. G. Madow, 1949).
    fn pass(&self, number: u64) -> Pass {
        let starts = self.sums.as_ref().map(|sums| {
            let offset =
                Random::new(self.seed, Purpose::Repeated, number, 0).below(1 << 53) as f64 / (1u64 << 53) as f64;
            let last = sums.len().saturating_sub(1);
            let start = |(at, sum): (usize, &f64)| if at == last { self.pass } else { (sum + offset).floor() as u64 };
            sums.iter().enumerate().map(start).collect()
        });
        Pass { order: Random::new(self.seed, Purpose::Order, number, 0).permutation(self.pass), starts }
    }
}

impl Epoch {
    /// Returns the sample at a place of the epoch, counted from 0.
    pub(crate) fn draw(&self, place: u64) -> Draw {
        let (mut at, mut number) = (self.first + place, self.number);
        for Pass { order, starts } in &self.passes {
            if let Some(draw) = usize::try_from(at).ok().and_then(|at| order.get(at)) {
                let (index, copy) = match starts {
                    None => (*draw, 0),
                    Some(starts) => {
                        let index = starts.partition_point(|start| start <= draw).saturating_sub(1);
                        (index as u64, draw - starts[index])
                    }
                };
                return Draw { index, turn: number | copy << PASS_BITS };
            }
            (at, number) = (at - order.len() as u64, number.wrapping_add(1));
        }
        // No place of an epoch is beyond its passes; the data set refuses this index.
        Draw { index: u64::MAX, turn: number }
    }
}

#[cfg(test)]
mod tests;
