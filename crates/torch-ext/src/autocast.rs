//! Mixed precision for a scope, on CPU or GPU.

use crate::ffi;
use contract::TorchError;
use std::ffi::c_int;
use std::marker::PhantomData;
use tch::{Device, Kind};

/// Guard that makes this thread's convolutions and matrix products on `device` run in `kind` while it lives; weights
/// keep their own.
#[derive(Debug)]
pub struct Autocast {
    cuda: c_int,
    was_enabled: c_int,
    was_kind: c_int,
    /// libtorch keeps the switch per thread, so the guard must stay on its own.
    this_thread: PhantomData<*const ()>,
}

impl Autocast {
    /// Switches to `kind`: `BFloat16` or `Half`.
    pub fn new(device: Device, kind: Kind) -> Result<Self, TorchError> {
        // The values of c10::ScalarType, which tch does not export.
        let scalar_type = match kind {
            Kind::Half => 5,
            Kind::BFloat16 => 15,
            other => return Err(TorchError::new(&format!("autocast to {other:?}: only BFloat16 and Half"))),
        };
        let cuda = matches!(device, Device::Cuda(_)).into();
        let (mut was_enabled, mut was_kind) = (0, 0);
        // SAFETY: both pointers are to live integers.
        ffi::checked(unsafe { ffi::oxiseg_autocast_enter(cuda, scalar_type, &mut was_enabled, &mut was_kind) })?;
        Ok(Self { cuda, was_enabled, was_kind, this_thread: PhantomData })
    }
}

impl Drop for Autocast {
    fn drop(&mut self) {
        // SAFETY: restores what `new` has read, on the same thread. It sets flags and frees a cache; it cannot fail.
        unsafe { ffi::oxiseg_autocast_leave(self.cuda, self.was_enabled, self.was_kind) };
    }
}

/// Guard that keeps this thread's autocast from reusing weights that it has cast. In a capture they must be cast anew:
/// a replay finds other values in them.
pub(crate) struct UncachedWeights {
    before: c_int,
    /// libtorch keeps the switch per thread.
    this_thread: PhantomData<*const ()>,
}

impl UncachedWeights {
    pub(crate) fn new() -> Self {
        // SAFETY: sets a switch of this thread.
        Self { before: unsafe { ffi::oxiseg_cache_weights(0) }, this_thread: PhantomData }
    }
}

impl Drop for UncachedWeights {
    fn drop(&mut self) {
        // SAFETY: restores what `new` has found, on the same thread.
        unsafe { ffi::oxiseg_cache_weights(self.before) };
    }
}

/// Returns true if weights are kept on this thread.
#[cfg(test)]
pub(crate) fn weights_are_cached() -> bool {
    let guard = UncachedWeights::new();
    guard.before != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Tensor;

    #[test]
    fn products_change_their_kind_inside_the_guard_only() {
        let x = Tensor::ones([4, 4], (Kind::Float, Device::Cpu));
        {
            let _bf16 = Autocast::new(Device::Cpu, Kind::BFloat16).unwrap();
            assert_eq!(x.matmul(&x).kind(), Kind::BFloat16);
            {
                let _half = Autocast::new(Device::Cpu, Kind::Half).unwrap();
                assert_eq!(x.matmul(&x).kind(), Kind::Half);
            }
            assert_eq!(x.matmul(&x).kind(), Kind::BFloat16);
        }
        assert_eq!(x.matmul(&x).kind(), Kind::Float);
    }
}
