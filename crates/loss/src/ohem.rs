//! Cross entropy of the hard pixels alone: online hard example mining.

use crate::pixels;
use contract::{Batch, BoxError, IGNORE_INDEX, Loss, Outputs, Ranks, TorchError, mean_across};
use tch::{Kind, TchError, Tensor};

/// Mean cross entropy of the hard pixels (OHEM). Hard is a pixel whose class has a probability below `threshold`, and
/// of each image at least the share `min_kept` of the valid pixels, those with the lowest probabilities. With class
/// weights it is the weighted mean, as in the cross entropy.
///
/// Pixels are chosen image by image, so the loss is a mean over the hard pixels of any number of images, batches and
/// ranks. (MMSegmentation's `OHEMPixelSampler` chooses among all images of a batch, and divides by all pixels.)
#[derive(Debug)]
pub struct Ohem {
    /// Probability below which a pixel is hard.
    pub threshold: f64,
    /// Minimum share of an image's valid pixels, from 0 to 1.
    pub min_kept: f64,
    /// `[K]` f32 on the model's device; `None` weighs all classes alike.
    pub class_weights: Option<Tensor>,
}

impl Ohem {
    /// Returns the weights of the hard pixels, 0 for all others: `[N, H, W]` f32. `log_p` is that of the targets.
    fn f_weights(&self, log_p: &Tensor, targets: &Tensor) -> Result<Tensor, TchError> {
        let _no_grad = tch::no_grad_guard();
        let valid = targets.f_ne(IGNORE_INDEX)?;
        // Sorts behind all probabilities.
        let p = log_p.f_detach()?.f_exp()?.f_masked_fill(&valid.f_logical_not()?, 2.0)?.f_flatten(1, -1)?;
        let count = valid.f_flatten(1, -1)?.f_sum_dim_intlist([1i64].as_slice(), true, Kind::Double)?;
        let count = count.f_mul_scalar(self.min_kept)?.f_ceil()?.f_to_kind(Kind::Int64)?;
        let (sorted, _) = p.f_sort_stable(true, 1, false)?;
        let last = sorted.f_gather(1, &count.f_sub_scalar(1)?.f_clamp_min(0)?, false)?;
        let last = last.f_masked_fill(&count.f_eq(0)?, -1.0)?;
        // In this form, a NaN is hard.
        let easy = p.f_ge(self.threshold)?.f_logical_and(&p.f_gt_tensor(&last)?)?.f_view_as(targets)?;
        pixels::pixel_weights(targets, self.class_weights.as_ref())?.f_masked_fill(&easy, 0.0)
    }

    fn f_loss(&self, outputs: &Tensor, targets: &Tensor) -> Result<Tensor, TchError> {
        let log_p = pixels::log_probability(outputs, targets)?;
        let weights = self.f_weights(&log_p, targets)?;
        pixels::mean(&log_p.f_neg()?.f_mul(&weights)?.f_sum(Kind::Float)?, &weights.f_sum(Kind::Float)?)
    }
}

impl Loss for Ohem {
    fn loss(&self, outputs: &Outputs, batch: &Batch) -> Result<Tensor, BoxError> {
        let loss = self.f_loss(&outputs.prediction, &batch.targets);
        loss.map_err(|error| TorchError::from(error).into())
    }

    /// Returns the sum of the class weights of all hard pixels, or their number without class weights.
    fn weight(&self, outputs: &Outputs, batch: &Batch) -> Result<Tensor, BoxError> {
        let _no_grad = tch::no_grad_guard();
        let weight = pixels::log_probability(&outputs.prediction, &batch.targets)
            .and_then(|log_p| self.f_weights(&log_p, &batch.targets))
            .and_then(|weights| weights.f_sum(Kind::Float));
        weight.map_err(|error| TorchError::from(error).into())
    }

    fn across(&self, ranks: &dyn Ranks, outputs: &Outputs, batch: &Batch) -> Result<Tensor, BoxError> {
        mean_across(self, ranks, outputs, batch)
    }
}
