//! Losses of the batches of all ranks together.

use contract::{Batch, BoxError, Loss, Outputs, Ranks, TorchError};
use std::cell::RefCell;
use std::sync::Arc;
use tch::{Kind, Tensor};

/// A loss or a metric over the batches of all ranks; all ranks call it together.
///
/// As a [`Loss`] it is the same on every rank, with the gradient of this rank's outputs. Gradients of the weights that
/// are summed over the ranks are then those of one process with the whole batch. As a [`Metric`](contract::Metric) it
/// keeps what this rank saw, and computes the scores of what all saw.
pub struct AcrossRanks<T> {
    /// A metric that computes takes in the others for the moment.
    pub(crate) inner: RefCell<T>,
    pub(crate) ranks: Arc<dyn Ranks>,
}

impl<T> AcrossRanks<T> {
    /// Wraps a loss or a metric.
    pub fn new(inner: T, ranks: Arc<dyn Ranks>) -> Self {
        Self { inner: RefCell::new(inner), ranks }
    }
}

/// In a group of one it is the loss itself.
impl<L: Loss> Loss for AcrossRanks<L> {
    fn loss(&self, outputs: &Outputs, batch: &Batch) -> Result<Tensor, BoxError> {
        self.across(self.ranks.as_ref(), outputs, batch)
    }

    /// Returns the sum of all ranks' weights.
    fn weight(&self, outputs: &Outputs, batch: &Batch) -> Result<Tensor, BoxError> {
        let own = self.inner.borrow().weight(outputs, batch)?;
        if self.ranks.count() == 1 {
            return Ok(own);
        }
        let _no_grad = tch::no_grad_guard();
        // The loss may hand out a tensor that it keeps.
        let weight = own.f_empty_like().and_then(|mut weight| {
            weight.f_copy_(&own)?;
            weight.f_to_kind(Kind::Float)
        });
        let weight = weight.map_err(TorchError::from)?;
        self.ranks.sum(&[weight.shallow_clone()])?;
        Ok(weight)
    }

    fn across(&self, ranks: &dyn Ranks, outputs: &Outputs, batch: &Batch) -> Result<Tensor, BoxError> {
        let inner = self.inner.borrow();
        if ranks.count() == 1 { inner.loss(outputs, batch) } else { inner.across(ranks, outputs, batch) }
    }
}
