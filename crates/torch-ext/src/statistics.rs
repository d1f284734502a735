//! Running statistics that a bad batch cannot spoil.

use crate::lists::copy;
use contract::TorchError;
use tch::nn::VarStore;
use tch::{TchError, Tensor};

/// Variables that a training pass changes by itself: BatchNorm's running means and variances.
#[derive(Debug)]
pub struct Statistics {
    /// They share memory with the network.
    buffers: Vec<Tensor>,
}

impl Statistics {
    /// Finds those variables of `store` by tch's names for them. (Untrained is no criterion: frozen weights are
    /// untrained too.)
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

    /// Returns a copy of all values, for [`restore`](Self::restore); `None` if there are none.
    pub fn remember(&self) -> Result<Option<Tensor>, TorchError> {
        if self.buffers.is_empty() { Ok(None) } else { Ok(Some(flat(&self.data()?)?)) }
    }

    /// Restores all values to `before` if any of them is not finite. The device decides, so that the host need not
    /// wait: finite values are overwritten with themselves.
    pub fn restore_unless_finite(&self, before: &Tensor) -> Result<(), TorchError> {
        let _no_grad = tch::no_grad_guard();
        let after = flat(&self.data()?)?;
        self.restore(&after.f_where_self(&after.f_isfinite()?.f_all()?, before)?)
    }

    /// Restores the `values` that [`remember`](Self::remember) returned.
    pub fn restore(&self, values: &Tensor) -> Result<(), TorchError> {
        let _no_grad = tch::no_grad_guard();
        let buffers = self.data()?;
        let sizes: Vec<i64> = buffers.iter().map(|buffer| buffer.numel() as i64).collect();
        let parts = values.f_split_with_sizes(sizes, 0)?;
        let shaped = buffers.iter().zip(parts).map(|(buffer, part)| part.f_reshape(buffer.size()));
        copy(&buffers, &shaped.collect::<Result<Vec<_>, _>>()?)
    }

    /// Returns the buffers via `f_data()`, so that writes do not bump their version counters: a backward pass may have
    /// kept a buffer, but does not use it in training.
    fn data(&self) -> Result<Vec<Tensor>, TchError> {
        self.buffers.iter().map(Tensor::f_data).collect()
    }
}

/// Concatenates all values into one vector.
fn flat(tensors: &[Tensor]) -> Result<Tensor, TchError> {
    let flat = tensors.iter().map(|tensor| tensor.f_flatten(0, -1));
    Tensor::f_cat(&flat.collect::<Result<Vec<_>, _>>()?, 0)
}
