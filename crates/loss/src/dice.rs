//! Soft Dice loss from logits.

use crate::pixels;
use contract::{Batch, BoxError, IGNORE_INDEX, Loss, Outputs, Ranks, TorchError, total};
use tch::{Kind, TchError, Tensor};

/// One minus the mean soft Dice coefficient of the classes in the batch's targets.
///
/// With `p` the softmax of the outputs and `t` the one-hot targets, summed over all valid pixels of the batch, a class
/// has the coefficient `(2 * sum(p * t) + smooth) / (sum(p) + sum(t) + smooth)` (Milletari et al., V-Net, 2016, with
/// the plain sums of Sudre et al., 2017). A batch without a valid pixel has the loss 0.
#[derive(Debug)]
pub struct Dice {
    /// Pixels added to numerator and denominator, so that the coefficient of a class of few pixels does not jump.
    pub smooth: f64,
}

/// Dimensions of `[N, K, H, W]` that are summed over for one sum a class.
pub(crate) const OF_BATCH: &[i64] = &[0, 2, 3];

/// Dimensions that are summed over for one sum a class and image.
pub(crate) const OF_IMAGE: &[i64] = &[2, 3];

/// Returns the sums of `p * t`, `p` and `t` over the valid pixels along `dims`, with `p` the softmax of the outputs and
/// `t` the one-hot targets.
pub(crate) fn overlaps(outputs: &Tensor, targets: &Tensor, dims: &[i64]) -> Result<[Tensor; 3], TchError> {
    let mask = targets.f_ne(IGNORE_INDEX)?.f_unsqueeze(1)?;
    let one_hot = pixels::one_hot(targets, pixels::classes(outputs))?.f_to_kind(Kind::Float)?;
    let probabilities = outputs.f_softmax(1, Kind::Float)?.f_mul(&mask)?;

    let over_pixels = |x: Tensor| x.f_sum_dim_intlist(dims, false, Kind::Float);
    let hits = over_pixels(probabilities.f_mul(&one_hot)?)?;
    Ok([hits, over_pixels(probabilities)?, over_pixels(one_hot)?])
}

impl Dice {
    fn f_loss(&self, [hits, predicted, real]: [Tensor; 3]) -> Result<Tensor, TchError> {
        // Without smoothing, an absent class is 0 / 0.
        let pixels = (predicted + &real + self.smooth).f_clamp_min(f64::from(f32::MIN_POSITIVE))?;
        let dice = (hits * 2.0 + self.smooth) / pixels;

        let present = real.f_gt(0.0)?.f_to_kind(Kind::Float)?;
        ((dice.f_neg()? + 1.0) * &present).f_sum(Kind::Float)?.f_div(&present.f_sum(Kind::Float)?.f_clamp_min(1.0)?)
    }
}

impl Loss for Dice {
    fn loss(&self, outputs: &Outputs, batch: &Batch) -> Result<Tensor, BoxError> {
        let loss = overlaps(&outputs.prediction, &batch.targets, OF_BATCH).and_then(|terms| self.f_loss(terms));
        loss.map_err(|error| TorchError::from(error).into())
    }

    /// Returns the number of valid pixels. The loss is a ratio of sums, not a mean over pixels, so batches that make
    /// one update do not add up to the loss of one large batch under any weight; under this one a batch counts by its
    /// pixels, as in the metric's mean loss, and not at all without any.
    fn weight(&self, _: &Outputs, batch: &Batch) -> Result<Tensor, BoxError> {
        pixels::valid(&batch.targets).map_err(|error| TorchError::from(error).into())
    }

    fn across(&self, ranks: &dyn Ranks, outputs: &Outputs, batch: &Batch) -> Result<Tensor, BoxError> {
        let own = overlaps(&outputs.prediction, &batch.targets, OF_BATCH).and_then(|terms| Tensor::f_stack(&terms, 0));
        let all = total(ranks, &own.map_err(TorchError::from)?)?;
        let term = |number: i64| all.f_select(0, number);
        let loss = (|| self.f_loss([term(0)?, term(1)?, term(2)?]))();
        loss.map_err(|error| TorchError::from(error).into())
    }
}
