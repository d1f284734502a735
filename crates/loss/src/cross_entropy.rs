//! Sparse categorical cross entropy from logits.

use contract::{Batch, BoxError, IGNORE_INDEX, Loss, Outputs, TorchError};
use tch::{Kind, Reduction, TchError, Tensor};

/// Mean over valid pixels of `-log softmax(outputs)[target]`.
///
/// With class weights it is the weighted mean, `sum(w[target] * loss) / sum(w[target])`, as in PyTorch's
/// `CrossEntropyLoss`. Unlike there, a batch without a valid pixel has the loss 0, not NaN.
#[derive(Debug, Default)]
pub struct CrossEntropy {
    /// `[K]` f32 on the model's device; `None` weighs all classes alike.
    pub class_weights: Option<Tensor>,
}

/// Returns the number of valid pixels: a scalar f32.
pub(crate) fn valid(targets: &Tensor) -> Result<Tensor, TchError> {
    targets.f_ne(IGNORE_INDEX)?.f_sum(Kind::Float)
}

impl CrossEntropy {
    fn f_weight(&self, targets: &Tensor) -> Result<Tensor, TchError> {
        let Some(weights) = &self.class_weights else { return valid(targets) };
        let classes = weights.size()[0];
        let of_ignored = weights.f_new_zeros([1], (Kind::Float, weights.device()))?;
        let table = Tensor::f_cat(&[weights, &of_ignored], 0)?;
        table.f_index_select(0, &targets.f_clamp(0, classes)?.f_flatten(0, -1)?)?.f_sum(Kind::Float)
    }
}

impl Loss for CrossEntropy {
    fn loss(&self, outputs: &Outputs, batch: &Batch) -> Result<Tensor, BoxError> {
        let (outputs, targets) = (&outputs.prediction, &batch.targets);
        let mean = || {
            let weights = self.class_weights.as_ref();
            let sum = outputs.f_cross_entropy_loss(targets, weights, Reduction::Sum, IGNORE_INDEX, 0.0)?;
            sum.f_div(&self.f_weight(targets)?.f_clamp_min(f64::from(f32::MIN_POSITIVE))?)
        };
        mean().map_err(|error| TorchError::from(error).into())
    }

    /// Returns the sum of the class weights of all valid pixels, or their number without class weights.
    fn weight(&self, _: &Outputs, batch: &Batch) -> Result<Tensor, BoxError> {
        self.f_weight(&batch.targets).map_err(|error| TorchError::from(error).into())
    }
}
