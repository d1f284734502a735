//! Focal loss from logits.

use crate::pixels;
use contract::{Batch, BoxError, Loss, Outputs, Ranks, TorchError, mean_across};
use tch::{Kind, TchError, Tensor};

/// Mean over valid pixels of `-(1 - p)^gamma * log p`, where `p` is the softmax of the outputs at the target (Lin et
/// al., Focal Loss for Dense Object Detection, 2017, with the softmax in place of the sigmoid, as MONAI's
/// `FocalLoss(use_softmax=True)`). With class weights it is the weighted mean, as in the cross entropy.
#[derive(Debug)]
pub struct Focal {
    /// Exponent: 0 is the cross entropy; the higher, the less do pixels count that are right already.
    pub gamma: f64,
    /// `[K]` f32 on the model's device; `None` weighs all classes alike.
    pub class_weights: Option<Tensor>,
}

impl Focal {
    fn f_loss(&self, outputs: &Tensor, targets: &Tensor) -> Result<Tensor, TchError> {
        let log_p = pixels::log_probability(outputs, targets)?;
        // 1 - p to full precision where p is close to 1. At 0, the gradient of a power below 1 is infinite.
        let missing = log_p.f_expm1()?.f_neg()?.f_clamp_min(pixels::LEAST)?;
        let weights = pixels::pixel_weights(targets, self.class_weights.as_ref())?;
        let losses = missing.f_pow_tensor_scalar(self.gamma)?.f_mul(&log_p)?.f_mul(&weights)?.f_neg()?;
        pixels::mean(&losses.f_sum(Kind::Float)?, &weights.f_sum(Kind::Float)?)
    }
}

impl Loss for Focal {
    fn loss(&self, outputs: &Outputs, batch: &Batch) -> Result<Tensor, BoxError> {
        let loss = self.f_loss(&outputs.prediction, &batch.targets);
        loss.map_err(|error| TorchError::from(error).into())
    }

    /// Returns the sum of the class weights of all valid pixels, or their number without class weights.
    fn weight(&self, _: &Outputs, batch: &Batch) -> Result<Tensor, BoxError> {
        let weights = pixels::pixel_weights(&batch.targets, self.class_weights.as_ref());
        weights.and_then(|weights| weights.f_sum(Kind::Float)).map_err(|error| TorchError::from(error).into())
    }

    fn across(&self, ranks: &dyn Ranks, outputs: &Outputs, batch: &Batch) -> Result<Tensor, BoxError> {
        mean_across(self, ranks, outputs, batch)
    }
}
