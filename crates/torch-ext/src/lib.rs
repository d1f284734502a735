//! Bindings of libtorch that tch lacks, and operators that libtorch leaves unfused: fused optimizer kernels, operations
//! on a list of tensors in one call, autocast with a choice of kind, the channels-last memory format, the state of the
//! random generator, frozen scripts and their graphs, the allocator, groups of processes. For GPUs: CUDA graphs,
//! uploads and downloads that nothing waits for, deterministic algorithms.
//!
//! ```
//! use tch::{Device, Kind, Tensor};
//!
//! let before = torch_ext::generator_state(Device::Cpu)?;
//! let drawn = Tensor::rand([4], (Kind::Float, Device::Cpu));
//! torch_ext::set_generator_state(Device::Cpu, &before)?;
//! assert_eq!(Tensor::rand([4], (Kind::Float, Device::Cpu)), drawn);
//!
//! let norm = torch_ext::global_norm(&[Tensor::from_slice(&[3f32, 0.0]), Tensor::from_slice(&[4f32])])?;
//! assert_eq!(norm.double_value(&[]), 5.0);
//! # Ok::<(), contract::TorchError>(())
//! ```
//!
//! **Invariant:** this is the only crate with unsafe code. It computes what it is asked for, and decides nothing.
//!
//! # What it does not do
//!
//! It chooses no kernel: `model` does, by processor and precision. Its own kernels take f32, bf16 and f64 on a CPU, and
//! those for convolutions need AVX-512; elsewhere libtorch's operators run. It replaces nothing that tch has.

mod ahead;
mod autocast;
mod c10d;
mod capture;
#[cfg(cuda)]
mod cuda;
mod deterministic;
mod downloads;
mod ffi;
mod fused;
mod gpu;
mod graph;
mod lists;
mod machine;
mod operators;
mod optim;
mod reads;
mod recompute;
mod resize;
mod script;
mod share;
mod statistics;
mod stream;
mod trace;
mod uploads;
mod warnings;

pub use ahead::Ahead;
pub use autocast::Autocast;
pub use c10d::{Alarm, Pending, Processes, Reducer, Store, gradient_order, has_nccl, interface_address};
pub use capture::{FakeCapture, cuda_graph, has_cuda_graphs};
pub use deterministic::{count, cross_entropy, deterministic, is_deterministic, nondeterministic};
pub use downloads::{Download, Downloads};
pub use fused::{
    BatchNorm, Fusion, Geometry, Kernels, Relu, Synced, batch_norm, batch_norm_relu, conv3x3, conv3x3_norm_relu,
    folded, max_pool2x2, norm_relu_conv3x3, with_bias,
};
pub use gpu::{Gpu, memory_fraction};
pub use graph::{Constant, Graph, Operation};
pub use lists::{copy, global_norm, lerp};
pub use machine::{OpenMp, has_amx, has_avx512, has_avx512_bf16, processor, tune_openmp};
pub use operators::{Extent, Operator, Operators};
pub use optim::{Adam, Lion, Sgd, clear_grad, fused_adam, fused_sgd, lion, radam, set_grad};
pub use reads::Reads;
pub use recompute::recomputed;
pub use resize::{Interpolation, resize_like};
pub use script::Script;
pub use share::{dropout, with_share};
pub use statistics::Statistics;
pub use uploads::{Room, Uploads};
pub use warnings::Warnings;

use contract::TorchError;
use std::ffi::{CStr, c_int};
use tch::{Device, Tensor};

/// Returns the version of the libtorch that this was compiled against, e.g. `2.11.0`.
pub fn libtorch_version() -> String {
    // SAFETY: a string literal of the shim.
    unsafe { CStr::from_ptr(ffi::oxiseg_libtorch_version()) }.to_string_lossy().into_owned()
}

/// Keeps freed memory instead of giving it back after every step (glibc; elsewhere this does nothing).
///
/// libtorch allocates each activation with malloc, and glibc maps and unmaps such large blocks, so that every step pays
/// for its page faults anew. Call it before the first tensor is made.
pub fn tune_allocator() {
    // SAFETY: mallopt may be called at any time.
    unsafe { ffi::oxiseg_tune_allocator() }
}

/// Returns `tensor` (`[N, C, H, W]`) with channels innermost in memory. Its shape stays, and nothing is copied if the
/// layout is right already.
pub fn channels_last(tensor: &Tensor) -> Result<Tensor, TorchError> {
    // SAFETY: the tensor lives through the call.
    ffi::made(|out| unsafe { ffi::oxiseg_channels_last(tensor.as_ptr(), out) })
}

/// Lays out the values of a 4-d `tensor` with channels innermost, in place: whoever shares it sees the new layout.
pub fn make_channels_last(tensor: &Tensor) -> Result<(), TorchError> {
    // SAFETY: the tensor lives through the call.
    ffi::checked(unsafe { ffi::oxiseg_make_channels_last(tensor.as_ptr()) })
}

/// Allows or forbids rounding the factors of f32 convolutions and matrix products to TensorFloat-32 on GPUs that have
/// it, from now on and in the whole process. By default libtorch allows it for convolutions only.
pub fn allow_tf32(allowed: bool) -> Result<(), TorchError> {
    // SAFETY: sets two switches of libtorch's context.
    ffi::checked(unsafe { ffi::oxiseg_allow_tf32(allowed.into()) })
}

/// Returns true if both may round; see [`allow_tf32`].
pub fn tf32_allowed() -> Result<bool, TorchError> {
    let mut allowed = 0;
    // SAFETY: a pointer to a live integer.
    ffi::checked(unsafe { ffi::oxiseg_tf32_allowed(&mut allowed) })?;
    Ok(allowed != 0)
}

pub(crate) fn cuda_index(device: Device) -> c_int {
    match device {
        Device::Cuda(index) => c_int::try_from(index).unwrap_or(c_int::MAX),
        _ => -1,
    }
}

/// Returns the state (u8) of the default random generator of `device`, from which dropout draws.
pub fn generator_state(device: Device) -> Result<Tensor, TorchError> {
    // SAFETY: the shim takes the generator's lock.
    ffi::made(|out| unsafe { ffi::oxiseg_generator_state(cuda_index(device), out) })
}

/// Restores a state that [`generator_state`] returned. A state of the wrong size or kind is an error and changes
/// nothing.
pub fn set_generator_state(device: Device, state: &Tensor) -> Result<(), TorchError> {
    // SAFETY: the shim takes the generator's lock; the tensor lives through the call.
    ffi::checked(unsafe { ffi::oxiseg_set_generator_state(cuda_index(device), state.as_ptr()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Kind;

    const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);

    #[test]
    fn the_version_is_the_one_tch_is_built_for() {
        assert!(libtorch_version().starts_with("2.11.0"), "{}", libtorch_version());
    }

    #[test]
    fn tf32_is_allowed_as_was_said() {
        for allowed in [true, false] {
            allow_tf32(allowed).unwrap();
            assert_eq!(tf32_allowed().unwrap(), allowed);
        }
    }

    #[test]
    fn channels_last_changes_strides_and_no_value() {
        let x = Tensor::arange(2 * 3 * 4 * 5, CPU).reshape([2, 3, 4, 5]);
        let y = channels_last(&x).unwrap();
        assert_eq!((y.size(), y.stride()), (vec![2, 3, 4, 5], vec![60, 1, 15, 3]));
        assert!(y.equal(&x));
        let shared = x.shallow_clone();
        make_channels_last(&x).unwrap();
        assert_eq!(shared.stride(), vec![60, 1, 15, 3]);
        assert!(shared.equal(&y));
        assert!(channels_last(&Tensor::zeros([3], CPU)).is_err(), "only 4-d tensors have the format");
    }

    #[test]
    fn a_generator_continues_where_its_state_was_taken() {
        let _alone = trace::alone();
        let state = generator_state(Device::Cpu).unwrap();
        let first = Tensor::randn([64], CPU);
        let _ = Tensor::rand([7], CPU);
        set_generator_state(Device::Cpu, &state).unwrap();
        assert!(Tensor::randn([64], CPU).equal(&first));
        let error = set_generator_state(Device::Cpu, &Tensor::zeros([3], CPU)).unwrap_err();
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}
