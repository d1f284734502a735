//! Counts of pixels by the network's confidence, which the predicted classes alone do not show.

use crate::Counted;
use contract::{BoxError, IGNORE_INDEX, StateDict, TorchError};
use std::num::NonZeroU16;
use tch::{Device, Kind, TchError, Tensor};

/// Number of bins of a class's probability, between thresholds.
const BINS: i64 = 100;
/// Number of bins of the predicted class's probability.
const CALIBRATION: i64 = 15;
/// Number of probabilities that are counted at once.
const AT_ONCE: i64 = 1 << 22;

/// Names of the counts in a state.
const PROBABILITIES: &str = "probabilities";
const CALIBRATED: &str = "calibration";

/// Counts of pixels since creation, kept on the device: by the probability of each class, and by the confidence of the
/// network. Only every STRIDE-th row and column counts, because neighbours add little information.
#[derive(Debug)]
pub struct Detail {
    classes: i64,
    stride: i64,
    /// `[K, 2 * BINS + 1]` i64: pixels of other classes, then of this one, by this one's probability; last the ignored
    /// ones.
    probabilities: Tensor,
    /// `[3, CALIBRATION + 1]` f64: sum of confidences, correct pixels, all pixels; last the ignored ones.
    calibration: Tensor,
}

/// Numbers of pixels of one class and of the others, at a threshold on the probability of that class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threshold {
    /// Of the class, at or above the threshold.
    pub true_positives: u64,
    /// Of other classes, at or above the threshold.
    pub false_positives: u64,
    /// Of other classes, below the threshold.
    pub true_negatives: u64,
    /// Of the class, below the threshold.
    pub false_negatives: u64,
}

/// Pixels in one bin of the predicted class's probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Confidence {
    /// Sum of the probabilities.
    pub sum: f64,
    /// Number of pixels with the correct class.
    pub correct: u64,
    /// Number of all pixels.
    pub count: u64,
}

impl Detail {
    /// Creates empty counts for `classes` classes, over every `stride`-th row and column of pixels.
    pub fn new(classes: usize, stride: NonZeroU16, device: Device) -> Result<Self, TorchError> {
        let classes = classes as i64;
        Ok(Self {
            classes,
            stride: stride.get().into(),
            probabilities: Tensor::f_zeros([classes, 2 * BINS + 1], (Kind::Int64, device))?,
            calibration: Tensor::f_zeros([3, CALIBRATION + 1], (Kind::Double, device))?,
        })
    }

    /// Counts a batch: `outputs` (logits `[N, K, H, W]`), `targets` (`[N, H, W]` i64) and its predictions in `counted`.
    /// Does not wait for the device.
    pub fn update(&mut self, outputs: &Tensor, targets: &Tensor, counted: &Counted) -> Result<(), BoxError> {
        let _no_grad = tch::no_grad_guard();
        Ok(self.f_update(outputs, targets, &counted.predicted)?)
    }

    fn f_update(&mut self, outputs: &Tensor, targets: &Tensor, predicted: &Tensor) -> Result<(), TorchError> {
        let some = |tensor: &Tensor| -> Result<Tensor, TchError> {
            [-1, -2].iter().try_fold(tensor.f_detach()?, |some, dim| some.f_slice(*dim, None, None, self.stride))
        };
        let (outputs, targets, predicted) = (some(outputs)?, some(targets)?, some(predicted)?);
        let (samples, classes, height, width) = outputs.size4()?;
        // With many classes a few samples at a time, because intermediate tensors take several times their memory.
        let few = (AT_ONCE / (classes * height * width).max(1)).max(1);
        for start in (0..samples).step_by(few as usize) {
            let part = |tensor: &Tensor| tensor.f_narrow(0, start, few.min(samples - start));
            self.f_count(&part(&outputs)?, &part(&targets)?, &part(&predicted)?)?;
        }
        Ok(())
    }

    fn f_count(&mut self, outputs: &Tensor, targets: &Tensor, predicted: &Tensor) -> Result<(), TorchError> {
        let probabilities = outputs.f_softmax(1, Kind::Float)?.f_nan_to_num_(0.0, None, None)?;
        let ignored = targets.f_eq(IGNORE_INDEX)?;
        // Integers as f32, which are exact up to 2^24.
        let class = Tensor::f_arange(self.classes, (Kind::Float, outputs.device()))?.f_view([1, -1, 1, 1])?;
        let mut of_class = targets.f_unsqueeze(1)?.f_eq_tensor(&class)?.f_to_kind(Kind::Float)?;
        let mut bin = binned(&probabilities, BINS)?.f_add_(&of_class.f_mul_scalar_(BINS as f64)?)?;
        let bin = bin
            .f_masked_fill_(&ignored.f_unsqueeze(1)?, 2 * BINS)?
            .f_add_(&class.f_mul_scalar((2 * BINS + 1) as f64)?)?;
        let counts =
            torch_ext::count(&bin.f_to_kind(Kind::Int64)?.f_view([1, -1])?, self.probabilities.numel() as i64)?;
        let _ = self.probabilities.f_add_(&counts.f_view_as(&self.probabilities)?)?;

        let confidence = probabilities.f_amax([1i64].as_slice(), false)?;
        let bin = binned(&confidence, CALIBRATION)?.f_masked_fill_(&ignored, CALIBRATION)?;
        let bin = bin.f_to_kind(Kind::Int64)?.f_view([1, -1])?;
        let correct = predicted.f_eq_tensor(targets)?.f_to_kind(Kind::Float)?;
        let values = Tensor::f_stack(&[&confidence, &correct, &confidence.f_ones_like()?], 0)?;
        let values = values.f_to_kind(Kind::Double)?.f_flatten(1, -1)?;
        match self.calibration.device() {
            Device::Cpu => drop(self.calibration.f_scatter_add_(1, &bin.f_expand([3, -1], false)?, &values)?),
            _ => drop(self.calibration.f_add_(&summed(&bin, &values)?)?),
        }
        Ok(())
    }

    /// Returns the counts by name, for [`Self::merge`].
    pub fn state(&self) -> StateDict {
        let counts = [(PROBABILITIES, &self.probabilities), (CALIBRATED, &self.calibration)];
        counts.into_iter().map(|(name, counts)| (name.into(), counts.shallow_clone())).collect()
    }

    /// Becomes the sum of what all `ranks` counted, given their states.
    pub fn merge(&mut self, ranks: &[StateDict]) -> Result<(), TorchError> {
        let _no_grad = tch::no_grad_guard();
        for (name, counts) in [(PROBABILITIES, &mut self.probabilities), (CALIBRATED, &mut self.calibration)] {
            let mut sum = counts.f_zeros_like()?;
            for other in ranks.iter().filter_map(|state| state.get(name)) {
                let _ = sum.f_add_(&other.f_to_device(sum.device())?)?;
            }
            *counts = sum;
        }
        Ok(())
    }

    /// Returns the counts of each class at 101 thresholds, evenly spaced from 0 to 1. Waits for the device.
    pub fn thresholds(&self) -> Result<Vec<Vec<Threshold>>, TorchError> {
        let bins = BINS as usize;
        let counts = Vec::<i64>::try_from(self.probabilities.f_to_device(Device::Cpu)?.f_flatten(0, -1)?)?;
        let of_class = |counts: &[i64]| {
            let counts: Vec<u64> = counts.iter().map(|count| u64::try_from(*count).unwrap_or(0)).collect();
            let (others, own) = (&counts[..bins], &counts[bins..2 * bins]);
            let below = |counts: &[u64], threshold: usize| counts[..threshold].iter().sum::<u64>();
            let all = [others, own].map(|counts| counts.iter().sum::<u64>());
            let at = |threshold| {
                let [true_negatives, false_negatives] = [others, own].map(|counts| below(counts, threshold));
                let (false_positives, true_positives) = (all[0] - true_negatives, all[1] - false_negatives);
                Threshold { true_positives, false_positives, true_negatives, false_negatives }
            };
            (0..=bins).map(at).collect()
        };
        Ok(counts.chunks_exact(2 * bins + 1).map(of_class).collect())
    }

    /// Returns the pixels by the probability of their predicted class, in 15 bins of equal width from 0 to 1. Waits for
    /// the device.
    pub fn calibration(&self) -> Result<Vec<Confidence>, TorchError> {
        let rows = Vec::<f64>::try_from(self.calibration.f_to_device(Device::Cpu)?.f_flatten(0, -1)?)?;
        let (bins, width) = (CALIBRATION as usize, CALIBRATION as usize + 1);
        let confidence = |bin: usize| {
            let [sum, correct, count] = [0, 1, 2].map(|row| rows[row * width + bin]);
            Confidence { sum, correct: correct as u64, count: count as u64 }
        };
        Ok((0..bins).map(confidence).collect())
    }
}

/// Returns the sums of `values`, `[3, P]`, by their bin, `[1, P]`: `[3, CALIBRATION + 1]`. Each sum has one order on a
/// GPU, unlike those of libtorch's scattering.
fn summed(bin: &Tensor, values: &Tensor) -> Result<Tensor, TchError> {
    let nothing = values.f_zeros_like()?;
    let of_bin = |number: i64| {
        let own = values.f_where_self(&bin.f_eq(number)?, &nothing)?;
        own.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Double)
    };
    let sums: Vec<Tensor> = (0..=CALIBRATION).map(of_bin).collect::<Result<_, _>>()?;
    Tensor::f_stack(&sums, 1)
}

/// Returns the index of each probability's bin, among `bins` from 0 to 1.
fn binned(probabilities: &Tensor, bins: i64) -> Result<Tensor, TchError> {
    probabilities.f_mul_scalar(bins as f64)?.f_floor_()?.f_clamp_max_((bins - 1) as f64)
}

#[cfg(test)]
mod tests;
