//! The metric of segmentation, as it is collected.

use crate::Confusion;
use contract::{BoxError, IGNORE_INDEX, Metric, Scores, StateDict, StateError, Stateful, TorchError, load};
use tch::{Device, Kind, TchError, Tensor};

/// The confusion matrix and the mean loss over everything since the last reset, kept on the device.
///
/// Its scores are `loss`, `accuracy`, `mean_iou`, `mean_dice`, `iou/CLASS`, `dice/CLASS` for each class, and `pixels`.
/// `loss` is the mean of the batches' losses weighted by their valid pixels, so that a last batch of one sample does not
/// count as much as a full one.
#[derive(Debug)]
pub struct Segmentation {
    classes: Vec<String>,
    /// `[K * K + 1]` i64: rows are targets, columns predictions; the last entry takes the ignored pixels.
    counts: Tensor,
    /// Scalar f64: the sum over batches of loss times valid pixels.
    weighted_loss: Tensor,
    /// Whether batches whose loss is not finite are left out.
    finite_only: bool,
}

impl Segmentation {
    /// An empty metric for the classes of these names, in the order of their ids. It counts every batch: a model that
    /// gives NaN must not look healthy in validation.
    pub fn new(classes: Vec<String>, device: Device) -> Result<Self, TorchError> {
        let k = classes.len() as i64;
        let counts = Tensor::f_zeros([k * k + 1], (Kind::Int64, device))?;
        let weighted_loss = Tensor::f_zeros([0i64; 0], (Kind::Double, device))?;
        Ok(Self { classes, counts, weighted_loss, finite_only: false })
    }

    /// The same for training: leaves out batches whose loss is not finite, pixels and all. Nothing was learnt from them,
    /// since the optimizer rejects their update; counted, one of them would make the epoch's mean loss NaN although the
    /// run went on. (A finite loss whose gradient is not finite counts: it is a true measurement.) The state has the same
    /// form as without, and the numbers are the same where every loss is finite.
    #[must_use]
    pub fn of_training(self) -> Self {
        Self { finite_only: true, ..self }
    }

    fn f_update(&mut self, loss: &Tensor, outputs: &Tensor, targets: &Tensor) -> Result<(), TchError> {
        let k = self.classes.len() as i64;
        let predicted = outputs.f_argmax(1, false)?;
        let mut valid = targets.f_ne(IGNORE_INDEX)?;
        if self.finite_only {
            // A scalar on the device, spread over all pixels: nobody on the host needs to know.
            valid = valid.f_logical_and(&loss.f_isfinite()?)?;
        }
        // Scattered rather than counted with bincount, which asks the device how many bins it needs.
        let cell = targets.f_mul_scalar(k)?.f_add(&predicted)?;
        let cell = cell.f_where_self(&valid, &targets.f_full_like(k * k)?)?.f_flatten(0, -1)?;
        let _ = self.counts.f_scatter_add_(0, &cell, &cell.f_ones_like()?)?;
        let pixels = valid.f_sum(Kind::Double)?;
        let weighted = loss.f_to_kind(Kind::Double)?.f_mul(&pixels)?;
        // A batch without a valid pixel has no loss to speak of, whatever the loss function made of it. Multiplied by 0
        // a loss that is not finite would still be NaN.
        let nothing = weighted.f_zeros_like()?;
        let _ = self.weighted_loss.f_add_(&weighted.f_where_self(&pixels.f_gt(0.0)?, &nothing)?)?;
        Ok(())
    }

    /// The matrix so far. Waits for the device.
    pub fn confusion(&self) -> Result<Confusion, TorchError> {
        let k = self.classes.len();
        let counts = Vec::<i64>::try_from(self.counts.f_to_device(Device::Cpu)?)?;
        Ok(Confusion::new(k, &counts[..k * k]))
    }
}

impl Metric for Segmentation {
    fn reset(&mut self) {
        let _ = self.counts.zero_();
        let _ = self.weighted_loss.zero_();
    }

    fn update(&mut self, loss: &Tensor, outputs: &Tensor, targets: &Tensor) -> Result<(), BoxError> {
        let _no_grad = tch::no_grad_guard();
        let (k, shape) = (self.classes.len() as i64, outputs.size());
        if shape.len() != 4 || shape[1] != k || [shape[0], shape[2], shape[3]] != *targets.size() {
            let found = targets.size();
            return Err(format!(
                "expected outputs [N, {k}, H, W] and targets [N, H, W], found {shape:?} and {found:?}"
            )
            .into());
        }
        self.f_update(loss, outputs, targets).map_err(|error| TorchError::from(error).into())
    }

    fn compute(&self) -> Result<Scores, BoxError> {
        let confusion = self.confusion()?;
        let loss = self.weighted_loss.f_double_value(&[]).map_err(TorchError::from)?;
        let (iou, dice) = (confusion.iou(), confusion.dice());
        let mut scores: Scores = vec![
            ("loss".into(), loss / confusion.pixels() as f64),
            ("accuracy".into(), confusion.accuracy()),
            ("mean_iou".into(), Confusion::mean(&iou)),
            ("mean_dice".into(), Confusion::mean(&dice)),
        ];
        for (name, values) in [("iou", iou), ("dice", dice)] {
            let of_class =
                |(class, value): (&String, Option<f64>)| (format!("{name}/{class}"), value.unwrap_or(f64::NAN));
            scores.extend(self.classes.iter().zip(values).map(of_class));
        }
        scores.push(("pixels".into(), confusion.pixels() as f64));
        Ok(scores)
    }
}

impl Stateful for Segmentation {
    fn state(&self) -> StateDict {
        let tensors = [("counts", &self.counts), ("weighted_loss", &self.weighted_loss)];
        tensors.into_iter().map(|(name, tensor)| (name.into(), tensor.shallow_clone())).collect()
    }

    fn load_state(&mut self, state: &StateDict) -> Result<(), StateError> {
        load(&self.state(), state)
    }
}

#[cfg(test)]
mod tests;
