//! The same result from the same input, on a GPU as well.

use crate::Warnings;
use crate::ffi::{self, Determinism};
use contract::TorchError;
use std::collections::BTreeSet;
use std::ffi::CString;
use tch::Tensor;

/// Text by which libtorch's warning about an operator begins behind the operator's name.
const NOT_DETERMINISTIC: &str = " does not have a deterministic implementation";

/// Makes cuDNN and libtorch use deterministic algorithms, or what is fastest, in the whole process from now on. If they
/// are to be deterministic, cuDNN no longer searches for the fastest algorithm, since the search may end differently.
///
/// Operators without a deterministic algorithm warn and go on; [`nondeterministic`] names them.
pub fn deterministic(on: bool) -> Result<(), TorchError> {
    let mut to = switches();
    to.cudnn = on.into();
    to.algorithms = on.into();
    to.warn_only = on.into();
    // Filling new memory would cost a kernel for each tensor, and shows only errors of libtorch.
    to.fill = (!on).into();
    if on {
        to.benchmark = 0;
    }
    set(to)
}

/// Returns true if cuDNN and libtorch use deterministic algorithms.
pub fn is_deterministic() -> bool {
    let switches = switches();
    switches.cudnn != 0 && switches.algorithms != 0
}

/// Runs `run` with deterministic algorithms and returns its result, with the names of the operators that have none
/// there. Other warnings of libtorch are passed on.
pub fn nondeterministic<T>(run: impl FnOnce() -> T) -> Result<(T, Vec<String>), TorchError> {
    let _restore = Restore(switches());
    deterministic(true)?;
    let watch = Warnings::watch()?;
    let result = run();
    let warnings = watch.seen();
    drop(watch);
    let mut names = BTreeSet::new();
    for warning in warnings {
        if let Some((name, _)) = warning.split_once(NOT_DETERMINISTIC) {
            names.insert(name.to_owned());
        } else if warning.contains("uses CuBLAS") && warning.contains("not deterministic") {
            names.insert("cuBLAS without CUBLAS_WORKSPACE_CONFIG=:4096:8".to_owned());
        } else if let Ok(text) = CString::new(warning) {
            // SAFETY: a NUL-terminated text.
            ffi::checked(unsafe { ffi::oxiseg_warn(text.as_ptr()) })?;
        }
    }
    Ok((result, names.into_iter().collect()))
}

/// Counts for each row of `bins` (`[N, P]` i64) how often each of the numbers `0..n` is in it: `[N, n]` i64.
///
/// Integers add up to the same in any order, so this is deterministic without the sorting that libtorch does for it
/// where algorithms are to be [`deterministic`].
pub fn count(bins: &Tensor, n: i64) -> Result<Tensor, TorchError> {
    // SAFETY: the tensor lives through the call.
    ffi::made(|out| unsafe { ffi::oxiseg_count(bins.as_ptr(), n, out) })
}

/// Returns the sum over all pixels of `-w[target] * log softmax(logits)[target]`, a scalar, of f32 unless `logits` are
/// of f64. `logits` are `[N, K, H, W]`, `targets` `[N, H, W]` i64, `class_weights` `[K]`; pixels whose target is
/// `ignored` do not count. Like libtorch's `cross_entropy_loss` with the reduction to a sum, but every sum has one
/// order, on any device and any number of threads, in both passes.
///
/// # Errors
///
/// Fails where shapes or kinds do not fit. A target that is neither a class nor `ignored` is an error, on a GPU one of
/// the device.
pub fn cross_entropy(
    logits: &Tensor,
    targets: &Tensor,
    class_weights: Option<&Tensor>,
    ignored: i64,
) -> Result<Tensor, TorchError> {
    let weights = ffi::maybe(class_weights);
    // SAFETY: the tensors live through the call; null stands for no weights.
    ffi::made(|out| unsafe { ffi::oxiseg_cross_entropy(logits.as_ptr(), targets.as_ptr(), weights, ignored, out) })
}

fn switches() -> Determinism {
    let mut switches = Determinism::default();
    // SAFETY: a pointer to a live struct of the shim's layout.
    unsafe { ffi::oxiseg_determinism(&mut switches) };
    switches
}

fn set(to: Determinism) -> Result<(), TorchError> {
    // SAFETY: a pointer to a live struct of the shim's layout.
    ffi::checked(unsafe { ffi::oxiseg_set_determinism(&to) })
}

/// Guard that puts the switches back, also where something panics.
struct Restore(Determinism);

impl Drop for Restore {
    fn drop(&mut self) {
        // It sets flags; it cannot fail.
        let _ = set(self.0);
    }
}

#[cfg(test)]
mod tests;
