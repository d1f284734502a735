//! Fused operators, which libtorch has only as separate ones.

mod conv;
mod folded;
mod norm;
mod pool;
#[cfg(test)]
mod safety;
mod sync;

pub use conv::{conv3x3, conv3x3_norm_relu, norm_relu_conv3x3, with_bias};
pub use folded::{Geometry, folded};
pub use norm::batch_norm_relu;
pub use pool::max_pool2x2;
pub(crate) use sync::ranks;
pub use sync::{Synced, batch_norm};

use contract::TorchError;
use std::cell::Cell;
use std::marker::PhantomData;
use tch::{Device, Kind, Tensor};

/// Choice of the kernels that compute on a CPU. They round differently, so a training run keeps those that it began
/// with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kernels {
    /// Only libtorch's operators.
    #[default]
    Libtorch,
    /// Our kernels for BatchNorm, ReLU, max-pooling and biases. Convolutions are libtorch's; in evaluation in bf16
    /// BatchNorm and ReLU are folded into them.
    Own,
    /// Our kernels also for convolutions 3×3, by Winograd's filtering, where the processor has AVX-512.
    Winograd,
}

thread_local! {
    static KERNELS: Cell<Kernels> = const { Cell::new(Kernels::Libtorch) };
}

/// Guard that makes the functions here compute with these [`Kernels`] on this thread while it lives. Without one they
/// leave everything to libtorch.
#[derive(Debug)]
pub struct Fusion {
    before: Kernels,
    /// The switch is per thread, so the guard must stay on its own.
    this_thread: PhantomData<*const ()>,
}

impl Fusion {
    /// Switches to `kernels`.
    pub fn new(kernels: Kernels) -> Self {
        Self { before: KERNELS.replace(kernels), this_thread: PhantomData }
    }
}

impl Drop for Fusion {
    fn drop(&mut self) {
        KERNELS.set(self.before);
    }
}

/// Returns the kernels that compute on this thread.
pub(crate) fn kernels() -> Kernels {
    KERNELS.get()
}

/// Returns true if kernels of this crate compute on `x_nchw`, convolutions aside.
fn is_fused(x_nchw: &Tensor) -> bool {
    // An undefined tensor has neither kind nor device.
    let fits =
        || matches!(x_nchw.kind(), Kind::Float | Kind::BFloat16 | Kind::Double) && x_nchw.device() == Device::Cpu;
    kernels() != Kernels::Libtorch && x_nchw.defined() && fits() && x_nchw.dim() == 4 && x_nchw.numel() > 0
}

/// Parts of a BatchNorm: weight and bias, and the running statistics, which are updated in training.
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
    /// Share of the batch in the running statistics.
    pub momentum: f64,
    /// Added to the variance.
    pub epsilon: f64,
}

/// Kind of ReLU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relu {
    /// Values below 0 become 0.
    Plain,
    /// Values below 0 become 0, and those above 6 become 6.
    Six,
}

impl Relu {
    fn bound(self) -> f64 {
        if self == Self::Six { 6.0 } else { f64::INFINITY }
    }

    /// Applies it to `x` in place.
    pub fn apply(self, x: &mut Tensor) -> Result<Tensor, TorchError> {
        Ok(if self == Self::Six { x.f_relu6_()? } else { x.f_relu_()? })
    }
}

#[cfg(test)]
mod testing {
    use super::Kernels;
    use tch::{Kind, Tensor};
    pub use testing::noise_f64 as noise;

    /// Returns our kernels or libtorch's.
    pub fn kernels(fused: bool) -> Kernels {
        if fused { Kernels::Winograd } else { Kernels::Libtorch }
    }

    /// Returns the greatest difference, as a share of the greatest value.
    pub fn worst(left: &Tensor, right: &Tensor) -> f64 {
        let [left, right] = [left, right].map(|tensor| tensor.to_kind(Kind::Double));
        ((&left - &right).abs().max() / right.abs().max().clamp_min(1e-30)).double_value(&[])
    }

    /// Returns the mean difference, as a share of the mean value. Single values differ more: rounding across 0 turns a
    /// gradient on or off.
    pub fn mean(left: &Tensor, right: &Tensor) -> f64 {
        let [left, right] = [left, right].map(|tensor| tensor.to_kind(Kind::Double));
        let mean = |tensor: Tensor| tensor.abs().mean(Kind::Double).double_value(&[]);
        mean(&left - &right) / mean(right).max(1e-30)
    }
}
