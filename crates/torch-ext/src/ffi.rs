//! Declarations of the functions in `cpp`, and conversion of their return codes into results.

use contract::{TorchError, caught};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::NonNull;
use tch::Tensor;
use torch_sys::C_tensor;

/// Pointer to a tensor, as `cpp` takes it.
pub type Ptr = *const C_tensor;

/// A graph of the shim.
#[repr(C)]
pub struct CGraph {
    private: [u8; 0],
}

/// A script of libtorch.
#[repr(C)]
pub struct CScript {
    private: [u8; 0],
}

/// A stream of a GPU.
#[repr(C)]
pub struct CStream {
    private: [u8; 0],
}

/// Device and stream that were current before another stream was entered.
#[cfg(cuda_graphs)]
#[repr(C)]
pub struct CFormer {
    private: [u8; 0],
}

/// A mark in a stream.
#[repr(C)]
pub struct CEvent {
    private: [u8; 0],
}

/// State of a step that is watched.
#[repr(C)]
pub struct CTrace {
    private: [u8; 0],
}

/// A captured step.
#[cfg(cuda_graphs)]
#[repr(C)]
pub struct CCudaGraph {
    private: [u8; 0],
}

/// Switches of libtorch's context, as integers that are 0 or 1.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Determinism {
    pub cudnn: c_int,
    pub benchmark: c_int,
    pub algorithms: c_int,
    pub warn_only: c_int,
    pub fill: c_int,
}

/// Properties of a GPU. Texts end with a 0, and numbers that are not known are 0.
#[repr(C)]
pub struct CGpu {
    pub name: [c_char; 256],
    pub driver: [c_char; 96],
    pub cudnn: i64,
    pub cuda: c_int,
    pub major: c_int,
    pub minor: c_int,
    pub total: u64,
    pub free: u64,
}

unsafe extern "C" {
    fn oxiseg_error() -> *const c_char;
    pub fn oxiseg_libtorch_version() -> *const c_char;
    pub fn oxiseg_fused_adam(
        params: *const Ptr,
        grads: *const Ptr,
        first: *const Ptr,
        second: *const Ptr,
        n: usize,
        step: Ptr,
        decoupled: c_int,
        lr: Ptr,
        beta1: f64,
        beta2: f64,
        weight_decay: f64,
        epsilon: f64,
        grad_scale: Ptr,
        found_inf: Ptr,
    ) -> c_int;
    pub fn oxiseg_fused_sgd(
        params: *const Ptr,
        grads: *const Ptr,
        momentum_buffers: *const Ptr,
        n: usize,
        lr: Ptr,
        momentum: f64,
        weight_decay: f64,
        nesterov: c_int,
        grad_scale: Ptr,
        found_inf: Ptr,
    ) -> c_int;
    pub fn oxiseg_radam(
        params: *const Ptr,
        grads: *const Ptr,
        first: *const Ptr,
        second: *const Ptr,
        n: usize,
        step: Ptr,
        decoupled: c_int,
        lr: Ptr,
        beta1: f64,
        beta2: f64,
        weight_decay: f64,
        epsilon: f64,
        grad_scale: Ptr,
        found_inf: Ptr,
    ) -> c_int;
    pub fn oxiseg_lion(
        params: *const Ptr,
        grads: *const Ptr,
        momenta: *const Ptr,
        n: usize,
        lr: Ptr,
        beta1: f64,
        beta2: f64,
        weight_decay: f64,
        grad_scale: Ptr,
        found_inf: Ptr,
    ) -> c_int;
    pub fn oxiseg_global_norm(tensors: *const Ptr, n: usize, out: *mut *mut C_tensor) -> c_int;
    pub fn oxiseg_lerp(into: *const Ptr, towards: *const Ptr, n: usize, weight: f64) -> c_int;
    pub fn oxiseg_copy(into: *const Ptr, from: *const Ptr, n: usize) -> c_int;
    pub fn oxiseg_set_grad(tensor: Ptr, grad: Ptr) -> c_int;
    pub fn oxiseg_generator_state(cuda_index: c_int, out: *mut *mut C_tensor) -> c_int;
    pub fn oxiseg_set_generator_state(cuda_index: c_int, state: Ptr) -> c_int;
    pub fn oxiseg_allow_tf32(allowed: c_int) -> c_int;
    pub fn oxiseg_tf32_allowed(allowed: *mut c_int) -> c_int;
    pub fn oxiseg_watch_warnings(before: *mut *mut c_void) -> c_int;
    pub fn oxiseg_unwatch_warnings(before: *mut c_void);
    pub fn oxiseg_warnings() -> *const c_char;
    #[cfg(test)]
    pub fn oxiseg_throw(what: c_int) -> c_int;
    pub fn oxiseg_pinned_bytes(bytes: i64, out: *mut *mut C_tensor) -> c_int;
    pub fn oxiseg_upload(stream: *const CStream, host: Ptr, copied: *mut CEvent, out: *mut *mut C_tensor) -> c_int;
    pub fn oxiseg_download(stream: *const CStream, from: Ptr, into: Ptr, copied: *mut CEvent) -> c_int;
    pub fn oxiseg_new_stream(cuda_index: c_int, out: *mut *mut CStream) -> c_int;
    pub fn oxiseg_free_stream(stream: *mut CStream);
    pub fn oxiseg_new_event(cuda_index: c_int, out: *mut *mut CEvent) -> c_int;
    pub fn oxiseg_free_event(event: *mut CEvent);
    pub fn oxiseg_record_event(event: *mut CEvent, cuda_index: c_int) -> c_int;
    pub fn oxiseg_event_passed(event: *const CEvent, passed: *mut c_int) -> c_int;
    pub fn oxiseg_wait_for_event(event: *const CEvent) -> c_int;
    pub fn oxiseg_new_trace(out: *mut *mut CTrace) -> c_int;
    pub fn oxiseg_free_trace(trace: *mut CTrace);
    pub fn oxiseg_start_trace(trace: *mut CTrace, with_lines: c_int, handle: *mut u64) -> c_int;
    pub fn oxiseg_stop_trace(handle: u64) -> c_int;
    pub fn oxiseg_trace_lines(trace: *const CTrace) -> *const c_char;
    pub fn oxiseg_was_outside(trace: *const CTrace, tensor: Ptr) -> c_int;
    pub fn oxiseg_cache_weights(enabled: c_int) -> c_int;
    pub fn oxiseg_determinism(out: *mut Determinism);
    pub fn oxiseg_set_determinism(to: *const Determinism) -> c_int;
    pub fn oxiseg_warn(text: *const c_char) -> c_int;
    pub fn oxiseg_count(bins: Ptr, n: i64, out: *mut *mut C_tensor) -> c_int;
    pub fn oxiseg_cross_entropy(
        logits: Ptr,
        targets: Ptr,
        weights: Ptr,
        ignored: i64,
        out: *mut *mut C_tensor,
    ) -> c_int;
    pub fn oxiseg_memory_fraction(fraction: f64) -> c_int;
    pub fn oxiseg_gpu(index: c_int, gpu: *mut CGpu) -> c_int;
    #[cfg(test)]
    pub fn oxiseg_loop_threads() -> c_int;
    pub fn oxiseg_processor(name: *mut [c_char; 49]);
    pub fn oxiseg_has_avx512() -> c_int;
    pub fn oxiseg_has_avx512_bf16() -> c_int;
    pub fn oxiseg_has_amx(has: *mut c_int) -> c_int;
    pub fn oxiseg_openmp_file() -> *const c_char;
    pub fn oxiseg_openmp_block_time() -> c_int;
    pub fn oxiseg_set_openmp_block_time(milliseconds: c_int) -> c_int;
    pub fn oxiseg_autocast_enter(cuda: c_int, kind: c_int, was_enabled: *mut c_int, was_kind: *mut c_int) -> c_int;
    pub fn oxiseg_autocast_leave(cuda: c_int, was_enabled: c_int, was_kind: c_int) -> c_int;
    pub fn oxiseg_channels_last(tensor: Ptr, out: *mut *mut C_tensor) -> c_int;
    pub fn oxiseg_make_channels_last(tensor: Ptr) -> c_int;
    pub fn oxiseg_resize_like(x: Ptr, like: Ptr, how: c_int, align: c_int, out: *mut *mut C_tensor) -> c_int;
    pub fn oxiseg_watch_reads(handle: *mut u64) -> c_int;
    pub fn oxiseg_unwatch(handle: u64) -> c_int;
    pub fn oxiseg_reads() -> i64;
    pub fn oxiseg_watch_operators(handle: *mut u64) -> c_int;
    pub fn oxiseg_operators() -> *const c_char;
    pub fn oxiseg_follow(network: *mut c_void, run: Run, example: Ptr, out: *mut *mut CScript) -> c_int;
    pub fn oxiseg_free_script(script: *mut CScript);
    pub fn oxiseg_script_bytes(
        script: *const CScript,
        into: *mut c_void,
        write: unsafe extern "C" fn(*mut c_void, *const c_void, usize),
    ) -> c_int;
    pub fn oxiseg_graph(script: *const CScript, sides: *const i64, n: usize, out: *mut *mut CGraph) -> c_int;
    pub fn oxiseg_ranges(script: *const CScript, input: Ptr, out: *mut *mut CGraph) -> c_int;
    pub fn oxiseg_graph_text(graph: *const CGraph) -> *const c_char;
    pub fn oxiseg_graph_tensor(graph: *const CGraph, number: usize, out: *mut *mut C_tensor) -> c_int;
    pub fn oxiseg_free_graph(graph: *mut CGraph);
    pub fn oxiseg_conv3x3(x: Ptr, weight: Ptr, out: *mut *mut C_tensor) -> c_int;
    pub fn oxiseg_norm_relu_conv3x3(
        x: Ptr,
        scale: Ptr,
        shift: Ptr,
        mean: Ptr,
        var: Ptr,
        momentum: f64,
        epsilon: f64,
        over: *const c_void,
        bound: f64,
        weight: Ptr,
        out: *mut *mut C_tensor,
    ) -> c_int;
    pub fn oxiseg_conv3x3_norm_relu(
        x: Ptr,
        weight: Ptr,
        scale: Ptr,
        shift: Ptr,
        mean: Ptr,
        var: Ptr,
        epsilon: f64,
        bound: f64,
        out: *mut *mut C_tensor,
    ) -> c_int;
    pub fn oxiseg_folded(
        x: Ptr,
        weight: Ptr,
        stride: i64,
        padding: i64,
        groups: i64,
        scale: Ptr,
        shift: Ptr,
        mean: Ptr,
        var: Ptr,
        epsilon: f64,
        bound: f64,
        relu: c_int,
        out: *mut *mut C_tensor,
    ) -> c_int;
    pub fn oxiseg_norm_relu(
        x: Ptr,
        weight: Ptr,
        bias: Ptr,
        mean: Ptr,
        var: Ptr,
        epsilon: f64,
        bound: f64,
        out: *mut *mut C_tensor,
    ) -> c_int;
    pub fn oxiseg_max_pool2x2(x: Ptr, out: *mut *mut C_tensor) -> c_int;
    pub fn oxiseg_bias(y: Ptr, bias: Ptr, out: *mut *mut C_tensor) -> c_int;
    pub fn oxiseg_batch_norm_relu(
        x: Ptr,
        weight: Ptr,
        bias: Ptr,
        running_mean: Ptr,
        running_var: Ptr,
        momentum: f64,
        epsilon: f64,
        over: *const c_void,
        bound: f64,
        out: *mut *mut C_tensor,
    ) -> c_int;
    pub fn oxiseg_sync_norm(
        x: Ptr,
        weight: Ptr,
        bias: Ptr,
        running_mean: Ptr,
        running_var: Ptr,
        momentum: f64,
        epsilon: f64,
        over: *const c_void,
        out: *mut *mut C_tensor,
    ) -> c_int;
    pub fn oxiseg_complain(message: *const c_char, length: usize);
    pub fn oxiseg_recompute(
        inputs: *const Ptr,
        n: usize,
        buffers: *const Ptr,
        n_buffers: usize,
        piece: *mut c_void,
        run: Run,
        drop: unsafe extern "C" fn(*mut c_void),
        out: *mut *mut C_tensor,
    ) -> c_int;
    pub fn oxiseg_tune_allocator();
}

#[cfg(cuda_graphs)]
unsafe extern "C" {
    pub fn oxiseg_enter_stream(stream: *const CStream, out: *mut *mut CFormer) -> c_int;
    pub fn oxiseg_leave_stream(stream: *const CStream, former: *mut CFormer) -> c_int;
    pub fn oxiseg_begin_capture(cuda_index: c_int, out: *mut *mut CCudaGraph) -> c_int;
    pub fn oxiseg_end_capture(graph: *mut CCudaGraph) -> c_int;
    pub fn oxiseg_abort_capture(graph: *mut CCudaGraph);
    pub fn oxiseg_replay(graph: *mut CCudaGraph) -> c_int;
    pub fn oxiseg_free_cuda_graph(graph: *mut CCudaGraph);
}

/// Turns a return code into a result, with the shim's message on failure.
pub fn checked(code: c_int) -> Result<(), TorchError> {
    if code == 0 {
        return Ok(());
    }
    // SAFETY: the shim returns a NUL-terminated string that lives until this thread's next call.
    let message = unsafe { CStr::from_ptr(oxiseg_error()) };
    Err(TorchError::new(&message.to_string_lossy()))
}

/// Returns the tensor that a call wrote to its `out` argument.
pub fn made(call: impl FnOnce(*mut *mut C_tensor) -> c_int) -> Result<Tensor, TorchError> {
    let mut out = std::ptr::null_mut();
    checked(call(&mut out))?;
    // SAFETY: where the shim reports success it has written a tensor that it allocated and we now own.
    Ok(unsafe { Tensor::from_ptr(out) })
}

/// Like [`made`], for a call that may leave its `out` argument null.
pub fn maybe_made(call: impl FnOnce(*mut *mut C_tensor) -> c_int) -> Result<Option<Tensor>, TorchError> {
    let mut out = std::ptr::null_mut();
    checked(call(&mut out))?;
    // SAFETY: a tensor that the shim has written is one that it allocated and we now own.
    Ok((!out.is_null()).then(|| unsafe { Tensor::from_ptr(out) }))
}

/// Returns the pointer that a call wrote to its `out` argument, which the caller now owns.
pub fn owned<T>(call: impl FnOnce(*mut *mut T) -> c_int) -> Result<NonNull<T>, TorchError> {
    let mut out = std::ptr::null_mut();
    checked(call(&mut out))?;
    NonNull::new(out).ok_or_else(|| TorchError::new("the shim made nothing"))
}

/// Returns the pointers of several tensors; valid while the tensors are.
pub fn pointers(tensors: &[Tensor]) -> Vec<Ptr> {
    tensors.iter().map(Tensor::as_ptr).collect()
}

/// Returns a tensor's pointer, or null.
pub fn maybe(tensor: Option<&Tensor>) -> Ptr {
    tensor.map_or(std::ptr::null(), Tensor::as_ptr)
}

/// Callback for the shim.
pub type Run = unsafe extern "C" fn(*mut c_void, *const Ptr, usize, *mut *mut C_tensor) -> c_int;

/// Calls a piece for the shim. Returns 0, or 1 after handing over the message.
///
/// # Safety
///
/// `piece` must point to a live `F`, `inputs` to `n` live tensors, `out` to a place for a pointer.
pub unsafe extern "C" fn run<F: Fn(&[Tensor]) -> Tensor>(
    piece: *mut c_void,
    inputs: *const Ptr,
    n: usize,
    out: *mut *mut C_tensor,
) -> c_int {
    // SAFETY: as promised above; the clones own what they point to.
    let (piece, inputs): (_, Vec<Tensor>) = unsafe {
        let inputs = std::slice::from_raw_parts(inputs, n);
        (&*piece.cast::<F>(), inputs.iter().map(|input| Tensor::clone_from_ptr(input.cast_mut())).collect())
    };
    // No panic may cross into C++.
    match caught(|| piece(&inputs)) {
        Ok(mut y) => {
            // SAFETY: the shim owns it from here on.
            unsafe { *out = y.as_mut_ptr() };
            std::mem::forget(y);
            0
        }
        Err(said) => {
            // SAFETY: the shim copies this many bytes.
            unsafe { oxiseg_complain(said.as_ptr().cast(), said.len()) };
            1
        }
    }
}

/// Returns [`run`] for this piece, whose type cannot be named.
pub fn call<F: Fn(&[Tensor]) -> Tensor>(_: &F) -> Run {
    run::<F>
}
