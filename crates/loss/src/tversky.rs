//! Tversky loss from logits, of which soft Dice and Jaccard are cases.

use crate::dice::{OF_BATCH, OF_IMAGE, overlaps};
use crate::pixels;
use contract::{Batch, BoxError, Loss, Outputs, Ranks, TorchError, mean_across, total};
use tch::{Kind, TchError, Tensor};

/// Mean of `(1 - index)^gamma` over the classes in the targets, where a class has the Tversky index
/// `(tp + smooth) / (tp + alpha * fp + beta * fn + smooth)`, with soft counts from the softmax of the outputs (Salehi
/// et al., Tversky loss function for image segmentation, 2017).
///
/// `alpha` and `beta` of 1/2 give the soft Dice coefficient, of 1 the soft Jaccard index. A `gamma` other than 1 gives
/// the focal Tversky loss (Abraham & Khan, 2018), whose exponent is written `1 / gamma` there.
#[derive(Debug)]
pub struct Tversky {
    /// Weight of false positives.
    pub alpha: f64,
    /// Weight of false negatives.
    pub beta: f64,
    /// Exponent of the loss of a class.
    pub gamma: f64,
    /// Pixels added to numerator and denominator, so that the index of a class of few pixels does not jump.
    pub smooth: f64,
    /// Computes the loss of each image and takes the mean, in place of one over all pixels of the batch. An image
    /// without a valid pixel does not count.
    pub per_image: bool,
}

impl Tversky {
    fn f_overlaps(&self, outputs: &Tensor, targets: &Tensor) -> Result<[Tensor; 3], TchError> {
        overlaps(outputs, targets, if self.per_image { OF_IMAGE } else { OF_BATCH })
    }

    /// Returns the loss from the sums of [`overlaps`], `[K]` or `[N, K]`.
    fn f_loss(&self, [hits, predicted, real]: [Tensor; 3]) -> Result<Tensor, TchError> {
        // Without smoothing, an absent class is 0 / 0.
        let pixels = hits.f_mul_scalar(1.0 - self.alpha - self.beta)?;
        let pixels = pixels.f_add(&predicted.f_mul_scalar(self.alpha)?)?.f_add(&real.f_mul_scalar(self.beta)?)?;
        let index =
            hits.f_add_scalar(self.smooth)?.f_div(&pixels.f_add_scalar(self.smooth)?.f_clamp_min(pixels::LEAST)?)?;
        let mut losses = index.f_neg()?.f_add_scalar(1.0)?;
        if self.gamma != 1.0 {
            // At 0, the gradient of a power below 1 is infinite.
            losses = losses.f_clamp_min(pixels::LEAST)?.f_pow_tensor_scalar(self.gamma)?;
        }
        mean_of_present(&losses, &real.f_gt(0.0)?)
    }
}

/// Returns the mean of the losses of the classes that are `present`, both `[K]` or `[G, K]`: of `G` groups of pixels
/// the mean over those with any class.
pub(crate) fn mean_of_present(losses: &Tensor, present: &Tensor) -> Result<Tensor, TchError> {
    let over_classes = |x: Tensor| x.f_sum_dim_intlist([-1i64].as_slice(), false, Kind::Float);
    let sums = over_classes(losses.f_masked_fill(&present.f_logical_not()?, 0.0)?)?;
    let means = sums.f_div(&over_classes(present.f_to_kind(Kind::Float)?)?.f_clamp_min(1.0)?)?;
    let groups = present.f_any_dim(-1, false)?.f_sum(Kind::Float)?;
    pixels::mean(&means.f_sum(Kind::Float)?, &groups)
}

impl Loss for Tversky {
    fn loss(&self, outputs: &Outputs, batch: &Batch) -> Result<Tensor, BoxError> {
        let loss = self.f_overlaps(&outputs.prediction, &batch.targets).and_then(|sums| self.f_loss(sums));
        loss.map_err(|error| TorchError::from(error).into())
    }

    /// Returns the number of images with a valid pixel if the loss is a mean over images; else that of valid pixels.
    fn weight(&self, _: &Outputs, batch: &Batch) -> Result<Tensor, BoxError> {
        pixels::overlap_weight(&batch.targets, self.per_image).map_err(|error| TorchError::from(error).into())
    }

    fn across(&self, ranks: &dyn Ranks, outputs: &Outputs, batch: &Batch) -> Result<Tensor, BoxError> {
        if self.per_image {
            return mean_across(self, ranks, outputs, batch);
        }
        let own = self.f_overlaps(&outputs.prediction, &batch.targets).and_then(|sums| Tensor::f_stack(&sums, 0));
        let all = total(ranks, &own.map_err(TorchError::from)?)?;
        let sum = |number: i64| all.f_select(0, number);
        let loss = (|| self.f_loss([sum(0)?, sum(1)?, sum(2)?]))();
        loss.map_err(|error| TorchError::from(error).into())
    }
}
