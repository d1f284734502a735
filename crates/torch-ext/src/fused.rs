//! Operators that libtorch leaves apart.

mod conv;
mod norm;
mod pool;

pub use conv::{conv3x3, conv3x3_norm_relu, norm_relu_conv3x3, with_bias};
pub use norm::batch_norm_relu;
pub use pool::max_pool2x2;

use contract::TorchError;
use std::cell::Cell;
use std::marker::PhantomData;
use tch::{Device, Kind, Tensor};

thread_local! {
    static FUSED: Cell<bool> = const { Cell::new(false) };
}

/// While this lives, the functions here compute on this thread in fewer passes and products what they leave to libtorch's own
/// operators otherwise.
#[derive(Debug)]
pub struct Fusion {
    before: bool,
    /// The switch is by thread, so the guard must not leave its own.
    this_thread: PhantomData<*const ()>,
}

impl Fusion {
    /// Switches to `fused` operators, or to libtorch's own.
    pub fn new(fused: bool) -> Self {
        Self { before: FUSED.replace(fused), this_thread: PhantomData }
    }
}

impl Drop for Fusion {
    fn drop(&mut self) {
        FUSED.set(self.before);
    }
}

/// Whether a [`Fusion`] to fused operators lives on this thread.
pub(crate) fn is_on() -> bool {
    FUSED.get()
}

/// Whether `x_nchw` is computed by kernels of this crate.
fn is_fused(x_nchw: &Tensor) -> bool {
    let fits = matches!(x_nchw.kind(), Kind::Float | Kind::BFloat16 | Kind::Double);
    is_on() && fits && x_nchw.device() == Device::Cpu && x_nchw.dim() == 4 && x_nchw.numel() > 0
}

/// The parts of a BatchNorm: weight and bias, and the running statistics, which follow in training.
#[derive(Debug, Clone, Copy)]
pub struct BatchNorm<'a> {
    /// `[C]`
    pub weight: &'a Tensor,
    /// `[C]`
    pub bias: &'a Tensor,
    /// `[C]`
    pub running_mean: &'a Tensor,
    /// `[C]`
    pub running_var: &'a Tensor,
    /// The share of the batch in the running statistics.
    pub momentum: f64,
    /// What is added to the variance.
    pub epsilon: f64,
}

/// What becomes of values below 0, and of large ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relu {
    /// The former become 0.
    Plain,
    /// And those above 6 become 6.
    Six,
}

impl Relu {
    fn bound(self) -> f64 {
        if self == Self::Six { 6.0 } else { f64::INFINITY }
    }

    /// In the place of `x`.
    pub fn apply(self, x: &mut Tensor) -> Result<Tensor, TorchError> {
        Ok(if self == Self::Six { x.f_relu6_()? } else { x.f_relu_()? })
    }
}

#[cfg(test)]
mod testing {
    use tch::{Device, Kind, Tensor};

    /// Values between -1 and 1 that look like noise.
    pub fn noise(shape: &[i64], seed: u64) -> Tensor {
        let places = Tensor::arange(shape.iter().product::<i64>(), (Kind::Double, Device::Cpu)) + 1.0;
        ((places * 12.9898 + seed as f64 * 78.233).sin() * 43758.5453).frac().reshape(shape)
    }

    /// The greatest difference, as a share of the greatest value.
    pub fn worst(left: &Tensor, right: &Tensor) -> f64 {
        let [left, right] = [left, right].map(|tensor| tensor.to_kind(Kind::Double));
        ((&left - &right).abs().max() / right.abs().max().clamp_min(1e-30)).double_value(&[])
    }

    /// The mean difference, as a share of the mean: a value that rounding carries over 0 may have its gradient or none.
    pub fn mean(left: &Tensor, right: &Tensor) -> f64 {
        let [left, right] = [left, right].map(|tensor| tensor.to_kind(Kind::Double));
        let mean = |tensor: Tensor| tensor.abs().mean(Kind::Double).double_value(&[]);
        mean(&left - &right) / mean(right).max(1e-30)
    }
}
