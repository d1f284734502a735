//! Captures libtorch's warnings, so that tests can check a call for them.

use crate::ffi;
use contract::TorchError;
use std::ffi::{CStr, c_void};
use std::marker::PhantomData;

/// Guard that keeps libtorch's warnings on this thread instead of printing them, while it lives.
#[derive(Debug)]
pub struct Warnings {
    before: *mut c_void,
    /// libtorch keeps the handler per thread, so the guard must stay on its own.
    this_thread: PhantomData<*const ()>,
}

impl Warnings {
    /// Starts to listen.
    pub fn watch() -> Result<Self, TorchError> {
        let mut before = std::ptr::null_mut();
        // SAFETY: a pointer to a live pointer.
        ffi::checked(unsafe { ffi::oxiseg_watch_warnings(&mut before) })?;
        Ok(Self { before, this_thread: PhantomData })
    }

    /// Returns the warnings since the start.
    pub fn seen(&self) -> Vec<String> {
        // SAFETY: the shim returns a NUL-terminated string of this thread that stays as it is until the next warning.
        let text = unsafe { CStr::from_ptr(ffi::oxiseg_warnings()) }.to_string_lossy();
        text.lines().map(String::from).collect()
    }
}

impl Drop for Warnings {
    fn drop(&mut self) {
        // SAFETY: puts back the handler that `watch` has found, on the same thread.
        unsafe { ffi::oxiseg_unwatch_warnings(self.before) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind, Tensor};

    #[test]
    fn memory_is_pinned_without_the_device_that_libtorch_warns_of() {
        let x = Tensor::zeros([4], (Kind::Uint8, Device::Cpu));
        let warnings = Warnings::watch().unwrap();
        // It works on a GPU only; it warns before it finds none.
        let _ = x.f_pin_memory(Device::Cuda(0));
        let said = warnings.seen();
        assert!(said.iter().any(|said| said.contains("deprecated")), "a useless test: {said:?}");
        drop(warnings);
        let warnings = Warnings::watch().unwrap();
        // SAFETY: the shim makes a tensor or fails.
        let pinned = ffi::made(|out| unsafe { ffi::oxiseg_pinned_bytes(4, out) });
        assert_eq!(pinned.is_ok(), tch::Cuda::is_available(), "{pinned:?}");
        assert_eq!(warnings.seen(), Vec::<String>::new());
    }
}
