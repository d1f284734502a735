//! libtorch's c10d: its store of keys, groups of processes over Gloo and NCCL, and its reducer of gradients.

mod ffi;

use crate::ffi::{checked, made, owned, pointers};
use contract::TorchError;
use std::ffi::{CString, c_int};
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;
use tch::Tensor;

fn text(text: &str) -> Result<CString, TorchError> {
    CString::new(text).map_err(|_| TorchError::new("a text for c10d has a NUL in it"))
}

fn words(bytes: &Tensor) -> Result<String, TorchError> {
    Ok(String::from_utf8_lossy(&Vec::<u8>::try_from(bytes)?).into_owned())
}

fn number(number: usize) -> c_int {
    c_int::try_from(number).unwrap_or(c_int::MAX)
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX).max(1)
}

/// Returns the first address of a network interface, IPv4 before IPv6.
///
/// # Errors
///
/// Fails if there is no interface of this name, or it has no address.
pub fn interface_address(name: &str) -> Result<String, TorchError> {
    let name = text(name)?;
    // SAFETY: a NUL-terminated text that lives through the call.
    words(&made(|out| unsafe { ffi::oxiseg_interface_address(name.as_ptr(), out) })?)
}

/// Returns true if groups can use NCCL: this was built for CUDA and found the headers of NCCL.
pub fn has_nccl() -> bool {
    // SAFETY: returns a constant.
    unsafe { ffi::oxiseg_has_nccl() != 0 }
}

/// c10d's `TCPStore`: small values by key, which one process keeps for all. Keys have no newlines in them.
///
/// A call waits for the process that keeps the store, in some cases without end: make calls on a thread of their own.
#[derive(Debug)]
pub struct Store(NonNull<ffi::CStore>);

// SAFETY: c10d's store takes a lock for each call.
unsafe impl Send for Store {}
// SAFETY: as above.
unsafe impl Sync for Store {}

impl Store {
    /// Connects to the store at `host`, whose keys of this client all start with `prefix`. With a `listener`, the file
    /// descriptor of a listening socket, this process keeps the store; the socket is the store's from here on.
    ///
    /// # Errors
    ///
    /// Fails if the store cannot be reached within `timeout`, which is also that of its other calls.
    pub fn connect(
        host: &str,
        port: u16,
        listener: Option<i32>,
        prefix: &str,
        timeout: Duration,
    ) -> Result<Self, TorchError> {
        let (host, prefix, listener) = (text(host)?, text(prefix)?, listener.unwrap_or(-1));
        let timeout = milliseconds(timeout);
        // SAFETY: texts that live through the call; the shim writes a store that we own, or fails.
        owned(|out| unsafe { ffi::oxiseg_store(host.as_ptr(), port.into(), listener, prefix.as_ptr(), timeout, out) })
            .map(Self)
    }

    /// Sets a value.
    ///
    /// # Errors
    ///
    /// Fails if the store is gone. So do the other calls.
    pub fn set(&self, key: &str, value: &str) -> Result<(), TorchError> {
        let (key, value) = (text(key)?, text(value)?);
        // SAFETY: a live store, and texts that live through the call.
        checked(unsafe { ffi::oxiseg_store_set(self.0.as_ptr(), key.as_ptr(), value.as_ptr()) })
    }

    /// Returns the values of `keys`, which are single lines. Waits for keys that nobody has set yet.
    pub fn get(&self, keys: &[String]) -> Result<Vec<String>, TorchError> {
        let keys = text(&keys.join("\n"))?;
        // SAFETY: a live store, and a text that lives through the call.
        let values = made(|out| unsafe { ffi::oxiseg_store_get(self.0.as_ptr(), keys.as_ptr(), out) })?;
        Ok(words(&values)?.lines().map(String::from).collect())
    }

    /// Returns true if somebody has set `key`.
    pub fn has(&self, key: &str) -> Result<bool, TorchError> {
        let (key, mut has) = (text(key)?, 0);
        // SAFETY: a live store, a text that lives through the call, a pointer to a live integer.
        checked(unsafe { ffi::oxiseg_store_has(self.0.as_ptr(), key.as_ptr(), &mut has) })?;
        Ok(has != 0)
    }

    /// Waits until all of `keys` are set.
    pub fn wait(&self, keys: &[String], timeout: Duration) -> Result<(), TorchError> {
        let keys = text(&keys.join("\n"))?;
        // SAFETY: a live store, and a text that lives through the call.
        checked(unsafe { ffi::oxiseg_store_wait(self.0.as_ptr(), keys.as_ptr(), milliseconds(timeout)) })
    }

    /// Sets a value if the present one is `expected`. Returns the value that is there now.
    pub fn replace(&self, key: &str, expected: &str, value: &str) -> Result<String, TorchError> {
        let (key, expected, value) = (text(key)?, text(expected)?, text(value)?);
        let [key, expected, value] = [&key, &expected, &value].map(|text| text.as_ptr());
        // SAFETY: a live store, and texts that live through the call.
        words(&made(|out| unsafe { ffi::oxiseg_store_replace(self.0.as_ptr(), key, expected, value, out) })?)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // SAFETY: made by the shim, and nobody else has it.
        unsafe { ffi::oxiseg_free_store(self.0.as_ptr()) };
    }
}

#[derive(Debug)]
struct Handle(NonNull<ffi::CGroup>);

// SAFETY: c10d's groups may be used by several threads.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: made by the shim, and nobody else has it. A failure leaves nothing to do.
        unsafe { ffi::oxiseg_free_group(self.0.as_ptr()) };
    }
}

/// Group of processes that make the same calls in the same order. Each call waits for the others, up to the timeout.
/// Dropping it waits for operations that are under way.
#[derive(Debug, Clone)]
pub struct Processes(Arc<Handle>);

impl Processes {
    /// Meets the other processes by way of `store`. Gloo listens on `address`. Tensors of GPUs go over NCCL if `nccl`
    /// is true, else over Gloo as well.
    ///
    /// # Errors
    ///
    /// Fails if the others do not come within `timeout`.
    pub fn new(
        store: &Store,
        rank: usize,
        count: usize,
        address: &str,
        nccl: bool,
        timeout: Duration,
    ) -> Result<Self, TorchError> {
        let (address, timeout) = (text(address)?, milliseconds(timeout));
        let [rank, count] = [rank, count].map(number);
        // SAFETY: a live store, and a text that lives through the call; the shim writes a group that we own, or fails.
        let group = owned(|out| unsafe {
            ffi::oxiseg_group(store.0.as_ptr(), rank, count, address.as_ptr(), nccl.into(), timeout, out)
        })?;
        Ok(Self(Arc::new(Handle(group))))
    }

    /// Returns what ends the waits of this group's callers.
    ///
    /// # Errors
    ///
    /// Fails if memory is short.
    pub fn alarm(&self) -> Result<Alarm, TorchError> {
        // SAFETY: a live group; the shim writes an alarm that we own, or fails.
        owned(|out| unsafe { ffi::oxiseg_alarm(self.0.0.as_ptr(), out) }).map(Alarm)
    }

    /// Replaces each tensor by its sum over all processes.
    pub fn sum(&self, tensors: &[Tensor]) -> Result<(), TorchError> {
        let tensors = pointers(tensors);
        // SAFETY: a live group, and tensors that live through the call.
        checked(unsafe { ffi::oxiseg_sum(self.0.0.as_ptr(), tensors.as_ptr(), tensors.len()) })
    }

    /// Replaces each tensor by that of process `from`.
    pub fn broadcast(&self, tensors: &[Tensor], from: usize) -> Result<(), TorchError> {
        let (tensors, from) = (pointers(tensors), number(from));
        // SAFETY: a live group, and tensors that live through the call.
        checked(unsafe { ffi::oxiseg_broadcast(self.0.0.as_ptr(), tensors.as_ptr(), tensors.len(), from) })
    }

    /// Returns the flat tensors of all processes, a row each. They have the same size and kind.
    pub fn gather(&self, own: &Tensor) -> Result<Tensor, TorchError> {
        // SAFETY: a live group, and a tensor that lives through the call.
        made(|out| unsafe { ffi::oxiseg_gather(self.0.0.as_ptr(), own.as_ptr(), out) })
    }

    /// Starts to replace `tensor` by its maximum over all processes.
    pub fn start_max(&self, tensor: &Tensor) -> Result<Pending, TorchError> {
        // SAFETY: a live group; the shim keeps the tensor, and writes what we own, or fails.
        owned(|out| unsafe { ffi::oxiseg_start_max(self.0.0.as_ptr(), tensor.as_ptr(), out) }).map(Pending)
    }

    /// Ends NCCL's operations on the GPU of this process, which would wait for a process that is lost. What they were
    /// to compute is garbage then, and the group is of no use. Does nothing to operations over Gloo.
    ///
    /// # Errors
    ///
    /// Fails if NCCL does.
    pub fn abort(&self) -> Result<(), TorchError> {
        // SAFETY: a live group.
        checked(unsafe { ffi::oxiseg_abort_group(self.0.0.as_ptr()) })
    }

    /// Returns true once an operation failed, also one of a [`Reducer`], whose error comes out of the backward pass. A
    /// call that was refused before it began does not count.
    pub fn failed(&self) -> bool {
        // SAFETY: a live group.
        unsafe { ffi::oxiseg_group_failed(self.0.0.as_ptr()) != 0 }
    }
}

/// Ends the waits of a group's callers with errors, from another thread: libtorch may wait for a process that died
/// until the timeout. It does not keep the group.
#[derive(Debug)]
pub struct Alarm(NonNull<ffi::CAlarm>);

// SAFETY: the shim takes a lock for what callers share.
unsafe impl Send for Alarm {}
// SAFETY: as above.
unsafe impl Sync for Alarm {}

impl Alarm {
    /// Ends all calls that wait for other processes, and those that begin from now on. Operations that are under way
    /// stay with libtorch until its timeout, and so does whoever drops the group.
    ///
    /// # Errors
    ///
    /// Fails if libtorch does.
    pub fn raise(&self) -> Result<(), TorchError> {
        // SAFETY: a live alarm.
        checked(unsafe { ffi::oxiseg_raise(self.0.as_ptr()) })
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        // SAFETY: made by the shim, and nobody else has it.
        unsafe { ffi::oxiseg_free_alarm(self.0.as_ptr()) };
    }
}

/// Operation of all processes that is under way.
#[derive(Debug)]
pub struct Pending(NonNull<ffi::CPending>);

// SAFETY: c10d's operations belong to no thread.
unsafe impl Send for Pending {}

impl Pending {
    /// Waits until it is done.
    ///
    /// # Errors
    ///
    /// Fails if the operation did.
    pub fn wait(&self) -> Result<(), TorchError> {
        // SAFETY: a live operation.
        checked(unsafe { ffi::oxiseg_finish(self.0.as_ptr()) })
    }

    /// Returns true if it is done. Does not wait.
    pub fn is_done(&self) -> bool {
        // SAFETY: a live operation.
        unsafe { ffi::oxiseg_is_finished(self.0.as_ptr()) != 0 }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        // SAFETY: made by the shim, and nobody else has it. c10d keeps what the operation needs.
        unsafe { ffi::oxiseg_free_pending(self.0.as_ptr()) };
    }
}

/// Returns the numbers of `parameters` in the order in which a backward pass of `loss` finishes their gradients; last
/// those that it does not reach.
///
/// # Errors
///
/// Fails if one of them requires no gradient.
pub fn gradient_order(loss: &Tensor, parameters: &[Tensor]) -> Result<Tensor, TorchError> {
    let parameters = pointers(parameters);
    // SAFETY: tensors that live through the call.
    made(|out| unsafe { ffi::oxiseg_gradient_order(loss.as_ptr(), parameters.as_ptr(), parameters.len(), out) })
}

/// Sums gradients over all processes in buckets, in a backward pass. The sums are not divided by the number of
/// processes.
#[derive(Debug)]
pub struct Reducer {
    reducer: NonNull<ffi::CReducer>,
    _group: Processes,
}

impl Reducer {
    /// Makes buckets of at most `bucket` bytes (the first one of `first`) of `parameters`, which stand in the
    /// [order](gradient_order) in which their gradients are finished and are the same on all processes. With `bf16` the
    /// gradients are rounded to bf16 for the journey.
    ///
    /// With `overlap` each bucket is summed as soon as it is complete, while the backward pass goes on, by c10d's
    /// reducer, the engine of PyTorch's `DistributedDataParallel`. Without, all are summed at the end of the pass,
    /// which can be captured and replayed. The sums have the same bits.
    ///
    /// # Errors
    ///
    /// Fails if a parameter requires no gradient, or there is none.
    pub fn new(
        group: &Processes,
        parameters: &[Tensor],
        bucket: usize,
        first: usize,
        bf16: bool,
        overlap: bool,
    ) -> Result<Self, TorchError> {
        let parameters = pointers(parameters);
        let [bucket, first] = [bucket, first].map(|size| i64::try_from(size).unwrap_or(i64::MAX));
        let (tensors, n) = (parameters.as_ptr(), parameters.len());
        // SAFETY: a live group, which we keep; tensors that live through the call; the shim writes what we own.
        let reducer = owned(|out| unsafe {
            ffi::oxiseg_reducer(group.0.0.as_ptr(), tensors, n, bucket, first, bf16.into(), overlap.into(), out)
        })?;
        Ok(Self { reducer, _group: group.clone() })
    }

    /// Has the next backward pass, that of `loss`, replace the gradients by their sums over all processes, including
    /// those that were accumulated before. A parameter that no loss reaches gets a gradient of zero. The reducer must
    /// live until that pass is over.
    ///
    /// # Errors
    ///
    /// Fails if the backward pass before did not come to its end; then make a new one.
    pub fn prepare(&self, loss: &Tensor) -> Result<(), TorchError> {
        // SAFETY: a live reducer and a live tensor.
        checked(unsafe { ffi::oxiseg_reducer_prepare(self.reducer.as_ptr(), loss.as_ptr()) })
    }

    /// Returns the number of buckets.
    pub fn buckets(&self) -> usize {
        // SAFETY: a live reducer.
        unsafe { ffi::oxiseg_reducer_buckets(self.reducer.as_ptr()) }
    }
}

impl Drop for Reducer {
    fn drop(&mut self) {
        // SAFETY: made by the shim, and nobody else has it. A failure leaves nothing to do.
        unsafe { ffi::oxiseg_free_reducer(self.reducer.as_ptr()) };
    }
}
