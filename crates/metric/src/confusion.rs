//! The segmentation metric, collected batch by batch.

use crate::Confusion;
use crate::tally::Tally;
use contract::{
    Batch, BoxError, IGNORE_INDEX, Metric, Outputs, Scores, StateDict, StateError, Stateful, TorchError, load,
};
use tch::{Device, Kind, TchError, Tensor};

/// Confusion matrix and mean loss over all batches since the last reset, kept on the device.
///
/// Its scores are `loss` and those of [`Confusion::scores`].
/// `loss` is the mean of the batches' losses weighted by their valid pixels, so a last batch of one sample does not
/// count as much as a full one.
#[derive(Debug)]
pub struct Segmentation {
    classes: Vec<String>,
    /// `[K * K + 1]` i64: rows are targets, columns predictions; the last entry takes the ignored pixels.
    counts: Tensor,
    /// Scalar f64: the sum over batches of loss times valid pixels.
    weighted_loss: Tensor,
}

/// Predictions and counts of a batch, on the device.
#[derive(Debug)]
pub struct Counted {
    /// `[N, H, W]` i64: the class of each pixel.
    pub predicted: Tensor,
    /// `[N, K * K + 1]` i64: the counts of each sample, in the layout of [`Segmentation`]'s counts.
    of_samples: Tensor,
}

impl Counted {
    /// Returns the counts of each class in each sample, `[N, K, 3]` i64: correct pixels, those of the target, those of
    /// the prediction.
    pub fn tallies(&self) -> Result<Tensor, TchError> {
        let cells = self.of_samples.size()[1] - 1;
        let k = cells.isqrt();
        let matrices = self.of_samples.f_narrow(1, 0, cells)?.f_view([-1, k, k])?;
        let sum = |dim: i64| matrices.f_sum_dim_intlist([dim].as_slice(), false, Kind::Int64);
        Tensor::f_stack(&[matrices.f_diagonal(0, 1, 2)?, sum(2)?, sum(1)?], 2)
    }

    /// Returns the mean IoU of each sample, `[N]` f64, over the classes in its target or prediction; NaN for a sample
    /// without valid pixels.
    pub fn scores(&self) -> Result<Tensor, TchError> {
        mean_ious(&self.tallies()?)
    }
}

/// Returns the mean IoU of each sample, `[N]` f64, from the counts that [`Counted::tallies`] returns.
pub fn mean_ious(tallies: &Tensor) -> Result<Tensor, TchError> {
    let [hits, support, predicted] = [0, 1, 2].map(|part| tallies.f_select(2, part));
    let hits = hits?;
    // A class in neither is 0 / 0 and does not count for the sample.
    let iou = hits.f_to_kind(Kind::Double)?.f_div(&support?.f_add(&predicted?)?.f_sub(&hits)?)?;
    iou.f_nanmean([1i64].as_slice(), false, Kind::Double)
}

/// Reads the counts of a batch that [`Counted::tallies`] returned, sample by sample. Waits for the device.
pub fn read_tallies(tallies: &Tensor) -> Result<Vec<Vec<Tally>>, TorchError> {
    let counts = Vec::<i64>::try_from(tallies.f_to_device(Device::Cpu)?.f_contiguous()?.f_flatten(0, -1)?)?;
    let tally = |counts: &[i64; 3]| {
        let [hits, support, predicted] = counts.map(|count| u64::try_from(count).unwrap_or(0));
        Tally { hits, support, predicted }
    };
    let tallies_of = |sample: &[[i64; 3]]| sample.iter().map(tally).collect();
    let classes = usize::try_from(tallies.size()[1]).unwrap_or(0).max(1);
    Ok(counts.as_chunks().0.chunks_exact(classes).map(tallies_of).collect())
}

impl Segmentation {
    /// Creates an empty metric for the classes of these names, in the order of their ids. It counts every batch: a
    /// model that outputs NaN must not look healthy in validation.
    pub fn new(classes: Vec<String>, device: Device) -> Result<Self, TorchError> {
        let k = classes.len() as i64;
        let counts = Tensor::f_zeros([k * k + 1], (Kind::Int64, device))?;
        let weighted_loss = Tensor::f_zeros([0i64; 0], (Kind::Double, device))?;
        Ok(Self { classes, counts, weighted_loss })
    }

    /// Counts a batch, like [`Metric::update`], and returns its predictions and counts.
    pub fn count(&mut self, loss: &Tensor, outputs: &Tensor, targets: &Tensor) -> Result<Counted, BoxError> {
        let _no_grad = tch::no_grad_guard();
        let (k, shape) = (self.classes.len() as i64, outputs.size());
        if shape.len() != 4 || shape[1] != k || [shape[0], shape[2], shape[3]] != *targets.size() {
            let found = targets.size();
            return Err(format!(
                "expected outputs [N, {k}, H, W] and targets [N, H, W], found {shape:?} and {found:?}"
            )
            .into());
        }
        Ok(self.f_count(loss, outputs, targets)?)
    }

    fn f_count(&mut self, loss: &Tensor, outputs: &Tensor, targets: &Tensor) -> Result<Counted, TorchError> {
        let k = self.classes.len() as i64;
        let predicted = outputs.f_argmax(1, false)?;
        let valid = targets.f_ne(IGNORE_INDEX)?;
        let cell = targets.f_mul_scalar(k)?.f_add(&predicted)?;
        let cell = cell.f_where_self(&valid, &targets.f_full_like(k * k)?)?.f_flatten(1, -1)?;
        let of_samples = torch_ext::count(&cell, k * k + 1)?;
        let _ = self.counts.f_add_(&of_samples.f_sum_dim_intlist([0i64].as_slice(), false, Kind::Int64)?)?;
        let pixels = valid.f_sum(Kind::Double)?;
        let weighted = loss.f_to_kind(Kind::Double)?.f_mul(&pixels)?;
        // A batch without a valid pixel has no meaningful loss. Multiplied by 0, a non-finite loss would still be NaN.
        let nothing = weighted.f_zeros_like()?;
        let _ = self.weighted_loss.f_add_(&weighted.f_where_self(&pixels.f_gt(0.0)?, &nothing)?)?;
        Ok(Counted { predicted, of_samples })
    }

    /// Returns the matrix so far. Waits for the device.
    pub fn confusion(&self) -> Result<Confusion, TorchError> {
        let k = self.classes.len();
        let counts = Vec::<i64>::try_from(self.counts.f_to_device(Device::Cpu)?)?;
        Ok(Confusion::new(k, &counts[..k * k]))
    }
}

impl Metric for Segmentation {
    fn reset(&mut self) {
        let _ = self.counts.zero_();
        let _ = self.weighted_loss.zero_();
    }

    fn update(&mut self, loss: &Tensor, outputs: &Outputs, batch: &Batch) -> Result<(), BoxError> {
        self.count(loss, &outputs.prediction, &batch.targets).map(drop)
    }

    fn compute(&self) -> Result<Scores, BoxError> {
        let confusion = self.confusion()?;
        let loss = self.weighted_loss.f_double_value(&[]).map_err(TorchError::from)?;
        let mut scores: Scores = vec![("loss".into(), loss / confusion.pixels() as f64)];
        scores.extend(confusion.scores(&self.classes));
        Ok(scores)
    }

    fn columns(&self) -> Result<Vec<String>, BoxError> {
        Ok(["loss", "accuracy", "mean_iou"].map(String::from).into())
    }
}

impl Stateful for Segmentation {
    fn state(&self) -> StateDict {
        let tensors = [("counts", &self.counts), ("weighted_loss", &self.weighted_loss)];
        tensors.into_iter().map(|(name, tensor)| (name.into(), tensor.shallow_clone())).collect()
    }

    fn load_state(&mut self, state: &StateDict) -> Result<(), StateError> {
        load(&self.state(), state)
    }
}

#[cfg(test)]
mod tests;
