//! What the classes of the pixels alone do not show: how sure the network was, and which samples it is worst at.

use contract::{BoxError, IGNORE_INDEX, TorchError};
use tch::{Device, Kind, TchError, Tensor};

/// Bins of the probability of a class, between thresholds.
const BINS: i64 = 100;
/// Bins of the probability of the predicted class.
const CALIBRATION: i64 = 15;

/// Counts over everything since it was made, kept on the device: of pixels by how probable each class was held, and by how sure the
/// network was; and a score for each sample.
#[derive(Debug)]
pub struct Detail {
    classes: i64,
    /// `[K, 2 * BINS + 1]` i64: pixels of other classes and of this one, by this one's probability; last the ignored.
    probabilities: Tensor,
    /// `[3, CALIBRATION + 1]` f64: sum of confidences, right pixels, pixels; last the ignored.
    calibration: Tensor,
    /// `[N]` f32 of each batch: the mean IoU of each sample over the classes that are in its target or prediction, NaN where none is.
    samples: Vec<Tensor>,
}

/// The pixels of one class and of the others, with a threshold for the probability of that class.
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

/// The pixels whose predicted class was held so probable.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Confidence {
    /// The sum of the probabilities.
    pub sum: f64,
    /// Pixels whose predicted class is right.
    pub correct: u64,
    /// All of the pixels.
    pub count: u64,
}

impl Detail {
    /// An empty one for so many classes.
    pub fn new(classes: usize, device: Device) -> Result<Self, TorchError> {
        let classes = classes as i64;
        Ok(Self {
            classes,
            probabilities: Tensor::f_zeros([classes, 2 * BINS + 1], (Kind::Int64, device))?,
            calibration: Tensor::f_zeros([3, CALIBRATION + 1], (Kind::Double, device))?,
            samples: Vec::new(),
        })
    }

    /// Takes a batch into account: `outputs` (logits `[N, K, H, W]`) and `targets` (`[N, H, W]` i64). Does not wait for the device.
    pub fn update(&mut self, outputs: &Tensor, targets: &Tensor) -> Result<(), BoxError> {
        let _no_grad = tch::no_grad_guard();
        self.f_update(outputs, targets).map_err(|error| TorchError::from(error).into())
    }

    fn f_update(&mut self, outputs: &Tensor, targets: &Tensor) -> Result<(), TchError> {
        let probabilities = outputs.f_detach()?.f_softmax(1, Kind::Float)?;
        let valid = targets.f_ne(IGNORE_INDEX)?;
        // Class by class, since all at once take K times the memory of the targets.
        for class in 0..self.classes {
            let bin = binned(&probabilities.f_select(1, class)?, BINS)?;
            let of_class = targets.f_eq(class)?.f_to_kind(Kind::Int64)?.f_mul_scalar(BINS)?;
            let bin = or_last(&bin.f_add(&of_class)?, &valid, 2 * BINS)?;
            let _ = self.probabilities.f_get(class)?.f_scatter_add_(0, &bin, &bin.f_ones_like()?)?;
        }
        let (confidence, predicted) = probabilities.f_max_dim(1, false)?;
        let bin = or_last(&binned(&confidence, CALIBRATION)?, &valid, CALIBRATION)?;
        let confidence = confidence.f_to_kind(Kind::Double)?.f_flatten(0, -1)?;
        let correct = predicted.f_eq_tensor(targets)?.f_to_kind(Kind::Double)?.f_flatten(0, -1)?;
        for (row, values) in [&confidence, &correct, &confidence.f_ones_like()?].into_iter().enumerate() {
            let _ = self.calibration.f_get(row as i64)?.f_scatter_add_(0, &bin, values)?;
        }
        self.samples.push(sample_scores(&predicted, targets, &valid, self.classes)?);
        Ok(())
    }

    /// For each class its counts at 101 thresholds that lie evenly from 0 to 1. Waits for the device.
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

    /// Pixels by how probable their predicted class was held, in 15 bins of equal width from 0 to 1. Waits for the device.
    pub fn calibration(&self) -> Result<Vec<Confidence>, TorchError> {
        let rows = Vec::<f64>::try_from(self.calibration.f_to_device(Device::Cpu)?.f_flatten(0, -1)?)?;
        let (bins, width) = (CALIBRATION as usize, CALIBRATION as usize + 1);
        let confidence = |bin: usize| {
            let [sum, correct, count] = [0, 1, 2].map(|row| rows[row * width + bin]);
            Confidence { sum, correct: correct as u64, count: count as u64 }
        };
        Ok((0..bins).map(confidence).collect())
    }

    /// For each batch the mean IoU of each of its samples over the classes that are in its target or in what was predicted for it; NaN
    /// for a sample without a valid pixel. Waits for the device.
    pub fn sample_scores(&self) -> Result<Vec<Vec<f64>>, TorchError> {
        let scores = |batch: &Tensor| -> Result<Vec<f64>, TorchError> {
            Ok(Vec::<f64>::try_from(batch.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?)?)
        };
        self.samples.iter().map(scores).collect()
    }
}

/// Which of `bins` from 0 to 1 each probability is in; NaN is in the first.
fn binned(probabilities: &Tensor, bins: i64) -> Result<Tensor, TchError> {
    let scaled = probabilities.f_mul_scalar(bins as f64)?.f_nan_to_num(0.0, None, None)?;
    scaled.f_to_kind(Kind::Int64)?.f_clamp(0, bins - 1)
}

/// The bins of valid pixels, and `last` for the others; as a list.
fn or_last(bins: &Tensor, valid: &Tensor, last: i64) -> Result<Tensor, TchError> {
    bins.f_where_self(valid, &bins.f_full_like(last)?)?.f_flatten(0, -1)
}

/// `[N]`: the mean IoU of each sample.
fn sample_scores(predicted: &Tensor, targets: &Tensor, valid: &Tensor, classes: i64) -> Result<Tensor, TchError> {
    let (samples, mut intersections, mut unions) = (targets.size()[0], Vec::new(), Vec::new());
    for class in 0..classes {
        let sum =
            |pixels: Tensor| pixels.f_view([samples, -1])?.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Float);
        let own = [targets, predicted].map(|ids| ids.f_eq(class).and_then(|own| own.f_logical_and(valid)));
        let [target, predicted] = own;
        let (target, predicted) = (target?, predicted?);
        intersections.push(sum(target.f_logical_and(&predicted)?)?);
        unions.push(sum(target.f_logical_or(&predicted)?)?);
    }
    let [intersection, union] = [Tensor::f_stack(&intersections, 0)?, Tensor::f_stack(&unions, 0)?];
    // A class that is in neither is none of the sample's.
    let iou = intersection.f_div(&union)?;
    iou.f_nanmean([0i64].as_slice(), false, Kind::Float)
}

#[cfg(test)]
mod tests;
