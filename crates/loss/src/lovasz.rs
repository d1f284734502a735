//! Lovász losses from logits: surrogates of the Jaccard index.

use crate::pixels;
use crate::tversky::mean_of_present;
use contract::{Batch, BoxError, IGNORE_INDEX, Loss, Outputs, Ranks, TorchError, mean_across};
use tch::{Kind, TchError, Tensor};

/// Lovász extension of the Jaccard loss, as a mean over the classes in the targets: of the errors of the softmax
/// (Berman et al., The Lovász-Softmax loss, 2018), or of the hinge errors of each class against all others.
#[derive(Debug)]
pub struct Lovasz {
    /// Takes the hinge errors `1 - z` and `1 + z` of the logits in place of those of the softmax.
    pub hinge: bool,
    /// Computes the loss of each image and takes the mean, in place of one over all pixels of the batch. An image
    /// without a valid pixel does not count.
    pub per_image: bool,
}

impl Lovasz {
    /// Brings `[N, K, H, W]` to the pixels that are sorted together: `[N, K, P]` or `[1, K, P]`.
    fn f_rows(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let [n, k, h, w] = <[i64; 4]>::try_from(x.size()).map_err(|size| TchError::Shape(format!("{size:?}")))?;
        if self.per_image { x.f_reshape([n, k, h * w]) } else { x.f_transpose(0, 1)?.f_reshape([1, k, n * h * w]) }
    }

    fn f_loss(&self, outputs: &Tensor, targets: &Tensor) -> Result<Tensor, TchError> {
        let own = pixels::one_hot(targets, pixels::classes(outputs))?;
        let ignored = targets.f_eq(IGNORE_INDEX)?.f_unsqueeze(1)?.f_expand_as(outputs)?;
        let (of_class, of_others) = if self.hinge {
            let logits = outputs.f_to_kind(Kind::Float)?;
            (logits.f_neg()?.f_add_scalar(1.0)?, logits.f_add_scalar(1.0)?)
        } else {
            let p = outputs.f_softmax(1, Kind::Float)?;
            (p.f_neg()?.f_add_scalar(1.0)?, p)
        };
        let errors = of_class.f_where_self(&own, &of_others)?.f_masked_fill(&ignored, 0.0)?;
        let (errors, own, ignored) = (self.f_rows(&errors)?, self.f_rows(&own)?, self.f_rows(&ignored)?);
        let weights = f_weights(&errors.f_detach()?, &own, &ignored)?;
        let errors = if self.hinge { errors.f_relu()? } else { errors };
        let losses = errors.f_mul(&weights)?.f_sum_dim_intlist([-1i64].as_slice(), false, Kind::Float)?;
        mean_of_present(&losses, &own.f_any_dim(-1, false)?)
    }
}

/// Returns the weights of the errors of a row's pixels in its loss, all `[G, K, P]`: by how much each pixel raises the
/// Jaccard loss when errors are made in their order, the largest first. They are constant between two orders, so the
/// loss needs no gradient through the sorting, which adds up in any order on a GPU.
fn f_weights(errors: &Tensor, own: &Tensor, ignored: &Tensor) -> Result<Tensor, TchError> {
    let _no_grad = tch::no_grad_guard();
    let (_, order) = errors.f_masked_fill(ignored, f64::NEG_INFINITY)?.f_sort_stable(true, -1, true)?;
    let of_class = own.f_gather(-1, &order, false)?;
    // Whole numbers: sums of floats along a dimension have no deterministic algorithm on a GPU.
    let seen = of_class.f_cumsum(-1, Kind::Int64)?;
    let all = own.f_sum_dim_intlist([-1i64].as_slice(), true, Kind::Int64)?;
    let places = Tensor::f_arange(errors.size()[2], (Kind::Int64, errors.device()))?.f_add_scalar(1)?;
    let left = all.f_sub(&seen)?.f_to_kind(Kind::Float)?;
    let union = all.f_add(&places)?.f_sub(&seen)?.f_to_kind(Kind::Float)?;
    // A pixel of the class takes one from the intersection, another one adds one to the union.
    let raised = left.f_div(&union.f_mul(&union.f_sub_scalar(1.0)?)?.f_clamp_min(1.0)?)?;
    let weights = union.f_reciprocal()?.f_where_self(&of_class, &raised)?;
    let back = order.f_argsort_stable(true, -1, false)?;
    weights.f_gather(-1, &back, false)?.f_masked_fill(ignored, 0.0)
}

impl Loss for Lovasz {
    fn loss(&self, outputs: &Outputs, batch: &Batch) -> Result<Tensor, BoxError> {
        let loss = self.f_loss(&outputs.prediction, &batch.targets);
        loss.map_err(|error| TorchError::from(error).into())
    }

    /// Returns the number of images with a valid pixel if the loss is a mean over images; else that of valid pixels.
    fn weight(&self, _: &Outputs, batch: &Batch) -> Result<Tensor, BoxError> {
        pixels::overlap_weight(&batch.targets, self.per_image).map_err(|error| TorchError::from(error).into())
    }

    /// Refuses the loss of whole batches: it sorts all pixels, and those of other ranks are not here.
    fn across(&self, ranks: &dyn Ranks, outputs: &Outputs, batch: &Batch) -> Result<Tensor, BoxError> {
        if self.per_image {
            return mean_across(self, ranks, outputs, batch);
        }
        Err("the Lovász loss of a whole batch cannot be trained by several processes, since it sorts the pixels of \
             all of them: set per_image to true in its term of loss.terms"
            .into())
    }
}
