//! Soft Dice loss from logits.

use contract::{BoxError, IGNORE_INDEX, Loss, TorchError};
use tch::{Kind, TchError, Tensor};

/// One minus the mean soft Dice coefficient of the classes that the batch holds.
///
/// With `p` the softmax of the outputs and `t` the one-hot targets, summed over all valid pixels of the batch, a class
/// has the coefficient `(2 * sum(p * t) + smooth) / (sum(p) + sum(t) + smooth)` (Milletari et al., V-Net, 2016, with the
/// plain sums of Sudre et al., 2017). A batch without a valid pixel has the loss 0.
#[derive(Debug)]
pub struct Dice {
    /// Pixels that are added above and below, so that a class of few pixels does not jump.
    pub smooth: f64,
}

impl Dice {
    fn f_loss(&self, outputs: &Tensor, targets: &Tensor) -> Result<Tensor, TchError> {
        let classes = outputs.size().get(1).copied().unwrap_or_default();
        let valid = targets.f_ne(IGNORE_INDEX)?;
        let known = targets.f_where_self(&valid, &targets.f_zeros_like()?)?;
        let mask = valid.f_unsqueeze(1)?;
        let one_hot = known.f_one_hot(classes)?.f_permute([0, 3, 1, 2])?.f_mul(&mask)?.f_to_kind(Kind::Float)?;
        let probabilities = outputs.f_softmax(1, Kind::Float)?.f_mul(&mask)?;

        let over_pixels = |x: Tensor| x.f_sum_dim_intlist([0i64, 2, 3].as_slice(), false, Kind::Float);
        let hits = over_pixels(probabilities.f_mul(&one_hot)?)?;
        let predicted = over_pixels(probabilities)?;
        let real = over_pixels(one_hot)?;
        let dice = (hits * 2.0 + self.smooth) / (predicted + &real + self.smooth);

        let present = real.f_gt(0.0)?.f_to_kind(Kind::Float)?;
        ((dice.f_neg()? + 1.0) * &present).f_sum(Kind::Float)?.f_div(&present.f_sum(Kind::Float)?.f_clamp_min(1.0)?)
    }
}

impl Loss for Dice {
    fn loss(&self, outputs: &Tensor, targets: &Tensor) -> Result<Tensor, BoxError> {
        self.f_loss(outputs, targets).map_err(|error| TorchError::from(error).into())
    }
}
