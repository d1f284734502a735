//! Binary cross entropy from logits, and the focal loss over it.

use crate::pixels;
use contract::{Batch, BoxError, IGNORE_INDEX, Loss, Outputs, Ranks, TorchError, mean_across};
use tch::{Kind, Reduction, TchError, Tensor};

/// Mean over valid pixels and classes of the binary cross entropy of `sigmoid(outputs)` and the one-hot targets: each
/// class against all others. With class weights, the mean over the classes is weighted.
///
/// With `gamma` or `alpha` it is the focal loss of Lin et al. (Focal Loss for Dense Object Detection, 2017):
/// `-a (1 - p)^gamma log p`, where `p` is the probability of the right answer, and `a` is `alpha` for a pixel's own
/// class and `1 - alpha` for the others.
#[derive(Debug, Default)]
pub struct BinaryCrossEntropy {
    /// Exponent; 0 is the cross entropy.
    pub gamma: f64,
    /// Weight of a pixel's own class, from 0 to 1; `None` weighs both answers as 1.
    pub alpha: Option<f64>,
    /// `[K]` f32 on the model's device; `None` weighs all classes alike.
    pub class_weights: Option<Tensor>,
}

impl BinaryCrossEntropy {
    fn f_loss(&self, outputs: &Tensor, targets: &Tensor) -> Result<Tensor, TchError> {
        let classes = pixels::classes(outputs);
        let own = pixels::one_hot(targets, classes)?.f_to_kind(Kind::Float)?;
        let outputs = outputs.f_to_kind(Kind::Float)?;
        let losses = outputs.f_binary_cross_entropy_with_logits::<Tensor>(&own, None, None, Reduction::None)?;
        let losses = self.focused(losses, &own)?;
        let losses = losses.f_masked_fill(&targets.f_eq(IGNORE_INDEX)?.f_unsqueeze(1)?, 0.0)?;
        let (losses, total) = match &self.class_weights {
            Some(weights) => (losses.f_mul(&weights.f_view([1, -1, 1, 1])?)?, weights.f_sum(Kind::Float)?),
            None => (losses, Tensor::f_full([0i64; 0], classes as f64, (Kind::Float, outputs.device()))?),
        };
        pixels::mean(&losses.f_sum(Kind::Float)?, &pixels::valid(targets)?.f_mul(&total)?)
    }

    /// Weighs the cross entropies `losses` by `gamma` and `alpha`.
    fn focused(&self, mut losses: Tensor, own: &Tensor) -> Result<Tensor, TchError> {
        if self.gamma != 0.0 {
            // 1 - p to full precision where p is close to 1. At 0, the gradient of a power below 1 is infinite.
            let missing = losses.f_neg()?.f_expm1()?.f_neg()?.f_clamp_min(pixels::LEAST)?;
            losses = missing.f_pow_tensor_scalar(self.gamma)?.f_mul(&losses)?;
        }
        match self.alpha {
            Some(alpha) => losses.f_mul(&own.f_mul_scalar(2.0 * alpha - 1.0)?.f_add_scalar(1.0 - alpha)?),
            None => Ok(losses),
        }
    }
}

impl Loss for BinaryCrossEntropy {
    fn loss(&self, outputs: &Outputs, batch: &Batch) -> Result<Tensor, BoxError> {
        let loss = self.f_loss(&outputs.prediction, &batch.targets);
        loss.map_err(|error| TorchError::from(error).into())
    }

    /// Returns the number of valid pixels.
    fn weight(&self, _: &Outputs, batch: &Batch) -> Result<Tensor, BoxError> {
        pixels::valid(&batch.targets).map_err(|error| TorchError::from(error).into())
    }

    fn across(&self, ranks: &dyn Ranks, outputs: &Outputs, batch: &Batch) -> Result<Tensor, BoxError> {
        mean_across(self, ranks, outputs, batch)
    }
}
