//! Boundary loss from logits.

use crate::pixels;
use contract::{Batch, BoxError, IGNORE_INDEX, Loss, Outputs, Ranks, TorchError, mean_across};
use tch::{Kind, TchError, Tensor};

/// Distance of a pixel whose row and column hold no pixel to measure to, in pixels. Its square is far from any other,
/// and f32 still has room for it.
const FAR: f64 = 1e6;

/// Maximum number of sums that the search for the closest column holds at a time (64 MB).
const HELD: i64 = 1 << 24;

/// Mean over valid pixels and classes of `p * d`, with `p` the softmax of the outputs and `d` the signed distance to
/// the boundary of the class in the target, in pixels: above 0 outside and below inside (Kervadec et al., Boundary loss
/// for highly unbalanced segmentation, 2019).
///
/// It may be negative, and alone it trains badly: add it to an overlap or the cross entropy, with a small weight. An
/// image that lacks the class, or has nothing else, has no boundary, and its distance is 0. Ignored pixels are on no
/// side. The distances are exact, and take more time the larger the image: `2 * K` maps with `H * W * W` steps each.
#[derive(Debug)]
pub struct Boundary;

/// Returns the distance of each pixel to the closest one of `marked` in its map, squared; `[M, H, W]`.
fn f_squared_distances(marked: &Tensor) -> Result<Tensor, TchError> {
    let [maps, height, width] =
        <[i64; 3]>::try_from(marked.size()).map_err(|size| TchError::Shape(format!("{size:?}")))?;
    let floats = (Kind::Float, marked.device());
    // Along the columns: to the last marked pixel above, and, upside down, below.
    let rows = Tensor::f_arange(height, floats)?.f_view([1, -1, 1])?;
    let above = |marked: &Tensor| -> Result<Tensor, TchError> {
        let last = rows.f_expand_as(marked)?.f_masked_fill(&marked.f_logical_not()?, -FAR)?.f_cummax(1)?.0;
        rows.f_sub(&last)
    };
    let below = above(&marked.f_flip([1i64].as_slice())?)?.f_flip([1i64].as_slice())?;
    let squares = above(marked)?.f_minimum(&below)?.f_square()?.f_view([maps * height, width, 1])?;
    // Along the rows: the best of all columns.
    let columns = Tensor::f_arange(width, floats)?;
    let between = columns.f_unsqueeze(1)?.f_sub(&columns)?.f_square()?;
    let step = (HELD / (width * width).max(1)).max(1);
    let mut found = vec![];
    for first in (0..maps * height).step_by(usize::try_from(step).unwrap_or(1)) {
        let some = squares.f_narrow(0, first, step.min(maps * height - first))?;
        found.push(some.f_add(&between)?.f_amin([1i64].as_slice(), false)?);
    }
    if found.is_empty() {
        return Tensor::f_zeros([maps, height, width], floats);
    }
    Tensor::f_cat(&found, 0)?.f_view([maps, height, width])
}

/// Returns the signed distances of all classes, `[N, K, H, W]` f32; 0 for an ignored pixel.
fn f_distances(targets: &Tensor, classes: i64) -> Result<Tensor, TchError> {
    let _no_grad = tch::no_grad_guard();
    let own = pixels::one_hot(targets, classes)?;
    let valid = targets.f_ne(IGNORE_INDEX)?.f_unsqueeze(1)?;
    let others = own.f_logical_not()?.f_logical_and(&valid)?;
    let to = |marked: &Tensor| -> Result<Tensor, TchError> {
        f_squared_distances(&marked.f_flatten(0, 1)?)?.f_sqrt()?.f_view_as(marked)
    };
    let (outside, inside) = (to(&own)?, to(&others)?.f_neg()?.f_add_scalar(1.0)?);
    let both = |marked: &Tensor| marked.f_flatten(2, 3)?.f_any_dim(2, false)?.f_unsqueeze(-1)?.f_unsqueeze(-1);
    let counts = both(&own)?.f_logical_and(&both(&others)?)?.f_logical_and(&valid)?;
    inside.f_where_self(&own, &outside)?.f_masked_fill(&counts.f_logical_not()?, 0.0)
}

impl Boundary {
    fn f_loss(outputs: &Tensor, targets: &Tensor) -> Result<Tensor, TchError> {
        let classes = pixels::classes(outputs);
        let sum = outputs.f_softmax(1, Kind::Float)?.f_mul(&f_distances(targets, classes)?)?.f_sum(Kind::Float)?;
        pixels::mean(&sum, &pixels::valid(targets)?.f_mul_scalar(classes as f64)?)
    }
}

impl Loss for Boundary {
    fn loss(&self, outputs: &Outputs, batch: &Batch) -> Result<Tensor, BoxError> {
        let loss = Self::f_loss(&outputs.prediction, &batch.targets);
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
