//! Parts that the losses share: class ids as tensors, and weights of pixels.

use contract::IGNORE_INDEX;
use tch::{Kind, TchError, Tensor};

/// Smallest divisor, so that nothing over nothing is 0.
pub(crate) const LEAST: f64 = f32::MIN_POSITIVE as f64;

/// Returns the number of valid pixels: a scalar f32.
pub(crate) fn valid(targets: &Tensor) -> Result<Tensor, TchError> {
    targets.f_ne(IGNORE_INDEX)?.f_sum(Kind::Float)
}

/// Returns the number of images with a valid pixel: a scalar f32.
pub(crate) fn valid_images(targets: &Tensor) -> Result<Tensor, TchError> {
    targets.f_ne(IGNORE_INDEX)?.f_flatten(1, -1)?.f_any_dim(1, false)?.f_sum(Kind::Float)
}

/// Returns the weight of a loss of overlaps: the number of images with a valid pixel if it is a mean over images, else
/// the number of valid pixels, as [`Dice`](crate::Dice) has it.
pub(crate) fn overlap_weight(targets: &Tensor, per_image: bool) -> Result<Tensor, TchError> {
    if per_image { valid_images(targets) } else { valid(targets) }
}

/// Returns the classes of `targets` `[N, H, W]` as Booleans `[N, K, H, W]`. An ignored pixel is of no class.
pub(crate) fn one_hot(targets: &Tensor, classes: i64) -> Result<Tensor, TchError> {
    // Compared rather than made with one_hot, which reads the largest id from the device first.
    let ids = Tensor::f_arange(classes, (Kind::Int64, targets.device()))?.f_view([1, -1, 1, 1])?;
    targets.f_unsqueeze(1)?.f_eq_tensor(&ids)
}

/// Returns the log probability of each pixel's own class, `[N, H, W]` f32; 0 for an ignored pixel.
pub(crate) fn log_probability(outputs: &Tensor, targets: &Tensor) -> Result<Tensor, TchError> {
    let own = one_hot(targets, classes(outputs))?;
    // Not gathered: the backward pass of that adds up in any order on a GPU.
    let all = outputs.f_log_softmax(1, Kind::Float)?.f_masked_fill(&own.f_logical_not()?, 0.0)?;
    all.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Float)
}

/// Returns the number of classes of `[N, K, …]`.
pub(crate) fn classes(outputs: &Tensor) -> i64 {
    outputs.size().get(1).copied().unwrap_or_default()
}

/// Returns the weight of the class of each pixel, flat; 0 for an ignored pixel.
pub(crate) fn class_weights(targets: &Tensor, weights: &Tensor) -> Result<Tensor, TchError> {
    let classes = weights.size()[0];
    let of_ignored = weights.f_new_zeros([1], (Kind::Float, weights.device()))?;
    let table = Tensor::f_cat(&[weights, &of_ignored], 0)?;
    table.f_index_select(0, &targets.f_clamp(0, classes)?.f_flatten(0, -1)?)
}

/// Returns the weight of each pixel, `[N, H, W]` f32: that of its class, or 1; 0 for an ignored pixel.
pub(crate) fn pixel_weights(targets: &Tensor, weights: Option<&Tensor>) -> Result<Tensor, TchError> {
    match weights {
        Some(weights) => class_weights(targets, weights)?.f_view_as(targets),
        None => targets.f_ne(IGNORE_INDEX)?.f_to_kind(Kind::Float),
    }
}

/// Returns `sum / weight`, and 0 where the weight is 0.
pub(crate) fn mean(sum: &Tensor, weight: &Tensor) -> Result<Tensor, TchError> {
    sum.f_div(&weight.f_clamp_min(LEAST)?)
}
