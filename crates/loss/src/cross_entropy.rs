//! Sparse categorical cross entropy from logits.

use crate::pixels;
use contract::{Batch, BoxError, IGNORE_INDEX, Loss, Outputs, Ranks, TorchError, mean_across};
use tch::{Kind, Reduction, TchError, Tensor};

/// Mean over valid pixels of `-log softmax(outputs)[target]`.
///
/// With class weights it is the weighted mean, `sum(w[target] * loss) / sum(w[target])`, as in PyTorch's
/// `CrossEntropyLoss`. Unlike there, a batch without a valid pixel has the loss 0, not NaN.
#[derive(Debug, Default)]
pub struct CrossEntropy {
    /// `[K]` f32 on the model's device; `None` weighs all classes alike.
    pub class_weights: Option<Tensor>,
    /// Share of the target's probability that is spread evenly over all classes, as PyTorch's `label_smoothing`
    /// (Szegedy et al., Rethinking the Inception Architecture, 2016).
    pub label_smoothing: f64,
}

/// Kernel that adds up the losses of the pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sum {
    /// Ours, whose sums have one order on any device.
    InOrder,
    /// libtorch's: faster on a CPU, not deterministic on a GPU.
    Libtorchs,
}

impl Sum {
    /// Returns the kernel for a prediction. Ours takes `[N, K, H, W]` only.
    fn of(outputs: &Tensor) -> Self {
        if outputs.device().is_cuda() && outputs.dim() == 4 { Self::InOrder } else { Self::Libtorchs }
    }
}

impl CrossEntropy {
    /// Returns the sum over the valid pixels.
    fn f_sum(&self, outputs: &Tensor, targets: &Tensor, by: Sum) -> Result<Tensor, TorchError> {
        let weights = self.class_weights.as_ref();
        let sum = match by {
            Sum::InOrder => torch_ext::cross_entropy(outputs, targets, weights, IGNORE_INDEX)?,
            Sum::Libtorchs => {
                let half = matches!(outputs.kind(), Kind::BFloat16 | Kind::Half);
                let outputs = if half { outputs.f_to_kind(Kind::Float)? } else { outputs.shallow_clone() };
                outputs.f_cross_entropy_loss(targets, weights, Reduction::Sum, IGNORE_INDEX, 0.0)?
            }
        };
        if self.label_smoothing == 0.0 {
            return Ok(sum);
        }
        let sum = sum.f_mul_scalar(1.0 - self.label_smoothing)?;
        Ok(sum.f_add(&self.f_spread(outputs, targets)?.f_mul_scalar(self.label_smoothing)?)?)
    }

    /// Returns the sum over the valid pixels of the mean of `-w * log softmax(outputs)` over all classes.
    fn f_spread(&self, outputs: &Tensor, targets: &Tensor) -> Result<Tensor, TchError> {
        let ignored = targets.f_eq(IGNORE_INDEX)?.f_unsqueeze(1)?;
        let all = outputs.f_log_softmax(1, Kind::Float)?.f_masked_fill(&ignored, 0.0)?;
        let classes = pixels::classes(outputs).max(1);
        let all = match &self.class_weights {
            Some(weights) => {
                let mut shape = vec![1; outputs.dim()];
                shape[1] = classes;
                all.f_mul(&weights.f_view(shape.as_slice())?)?
            }
            None => all,
        };
        all.f_sum(Kind::Float)?.f_mul_scalar(-1.0 / classes as f64)
    }

    fn f_mean(&self, outputs: &Tensor, targets: &Tensor, by: Sum) -> Result<Tensor, TorchError> {
        Ok(pixels::mean(&self.f_sum(outputs, targets, by)?, &self.f_weight(targets)?)?)
    }

    fn f_weight(&self, targets: &Tensor) -> Result<Tensor, TchError> {
        match &self.class_weights {
            Some(weights) => pixels::class_weights(targets, weights)?.f_sum(Kind::Float),
            None => pixels::valid(targets),
        }
    }
}

impl Loss for CrossEntropy {
    fn loss(&self, outputs: &Outputs, batch: &Batch) -> Result<Tensor, BoxError> {
        let (outputs, targets) = (&outputs.prediction, &batch.targets);
        Ok(self.f_mean(outputs, targets, Sum::of(outputs))?)
    }

    /// Returns the sum of the class weights of all valid pixels, or their number without class weights.
    fn weight(&self, _: &Outputs, batch: &Batch) -> Result<Tensor, BoxError> {
        self.f_weight(&batch.targets).map_err(|error| TorchError::from(error).into())
    }

    fn across(&self, ranks: &dyn Ranks, outputs: &Outputs, batch: &Batch) -> Result<Tensor, BoxError> {
        mean_across(self, ranks, outputs, batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    /// Returns the mean and its gradient.
    fn both(by: Sum, class_weights: Option<&[f32]>, targets: &Tensor, logits: &Tensor) -> [Tensor; 2] {
        let class_weights = class_weights.map(Tensor::from_slice);
        let logits = logits.detach().set_requires_grad(true);
        let mean = CrossEntropy { class_weights, ..CrossEntropy::default() }.f_mean(&logits, targets, by).unwrap();
        mean.backward();
        [mean.detach(), logits.grad()]
    }

    #[test]
    fn the_kernel_for_gpus_gives_what_libtorchs_gives() {
        let cpu = (Kind::Float, Device::Cpu);
        let logits = (Tensor::arange(2 * 4 * 37 * 23, cpu) * 12.9898).sin().reshape([2, 4, 37, 23]) * 6.0;
        let ids = (Tensor::arange(2 * 37 * 23, (Kind::Int64, Device::Cpu)) * 7919).remainder(5).reshape([2, 37, 23]);
        let targets = ids.where_self(&ids.lt(4), &Tensor::from(IGNORE_INDEX));
        for weights in [None, Some(&[0.5f32, 2.0, 0.0, 1.5][..])] {
            for targets in [&targets, &targets.full_like(IGNORE_INDEX)] {
                let [ours, theirs] = [Sum::InOrder, Sum::Libtorchs].map(|by| both(by, weights, targets, &logits));
                for (ours, theirs) in ours.iter().zip(&theirs) {
                    let off = (ours - theirs).abs().max().double_value(&[]);
                    assert!(ours.kind() == Kind::Float && off < 1e-6, "{off}");
                }
            }
        }
        assert_eq!(Sum::of(&logits), Sum::Libtorchs, "the bits of a CPU stay");
    }
}
