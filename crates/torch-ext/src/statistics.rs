//! Running statistics that a bad batch cannot spoil.

use crate::lists::copy;
use contract::TorchError;
use tch::nn::VarStore;
use tch::{TchError, Tensor};

/// The variables that a pass in training changes by itself: BatchNorm's running means and variances.
#[derive(Debug)]
pub struct Statistics {
    /// They share memory with the network.
    buffers: Vec<Tensor>,
}

impl Statistics {
    /// Those variables of `store`, by the names that tch gives them: a weight that is frozen is not trained either.
    pub fn of(store: &VarStore) -> Self {
        let running = |name: &str| name.ends_with("running_mean") || name.ends_with("running_var");
        Self {
            buffers: store
                .variables()
                .into_iter()
                .filter(|(name, _)| running(name))
                .map(|(_, buffer)| buffer)
                .collect(),
        }
    }

    /// A copy of all values, for [`restore`](Self::restore); `None` where there are none.
    pub fn remember(&self) -> Result<Option<Tensor>, TorchError> {
        if self.buffers.is_empty() { Ok(None) } else { Ok(Some(flat(&self.data()?)?)) }
    }

    /// Where a value is not finite, makes all of them what they were `before`. Decided on the device, so that nothing
    /// waits for it: good values are written over by themselves.
    pub fn restore_unless_finite(&self, before: &Tensor) -> Result<(), TorchError> {
        let _no_grad = tch::no_grad_guard();
        let after = flat(&self.data()?)?;
        self.restore(&after.f_where_self(&after.f_isfinite()?.f_all()?, before)?)
    }

    /// Makes all values what they were when [`remember`](Self::remember) gave `values`.
    pub fn restore(&self, values: &Tensor) -> Result<(), TorchError> {
        let _no_grad = tch::no_grad_guard();
        let buffers = self.data()?;
        let sizes: Vec<i64> = buffers.iter().map(|buffer| buffer.numel() as i64).collect();
        let parts = values.f_split_with_sizes(sizes, 0)?;
        let shaped = buffers.iter().zip(parts).map(|(buffer, part)| part.f_reshape(buffer.size()));
        copy(&buffers, &shaped.collect::<Result<Vec<_>, _>>()?)
    }

    /// The buffers by another door: what is written through it does not count as a change for a backward pass, which may
    /// have kept a buffer and does not use it in training.
    fn data(&self) -> Result<Vec<Tensor>, TchError> {
        self.buffers.iter().map(Tensor::f_data).collect()
    }
}

/// One vector of all values.
fn flat(tensors: &[Tensor]) -> Result<Tensor, TchError> {
    let flat = tensors.iter().map(|tensor| tensor.f_flatten(0, -1));
    Tensor::f_cat(&flat.collect::<Result<Vec<_>, _>>()?, 0)
}
