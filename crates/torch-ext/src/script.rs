//! A network as TorchScript.

use crate::ffi;
use contract::TorchError;
use std::ffi::c_void;
use tch::Tensor;

/// A network traced by libtorch, for evaluation only: its parameters are constants, and BatchNorm is folded into the
/// convolutions before it (libtorch's `freeze`).
#[derive(Debug)]
pub struct Script {
    held: *mut ffi::CScript,
    /// Shape of the input that it was traced on.
    example: Vec<i64>,
}

impl Script {
    /// Traces `network` on `example`; its panics become errors. Parameters must not require gradients.
    pub fn follow(example: &Tensor, network: impl Fn(&Tensor) -> Tensor) -> Result<Self, TorchError> {
        let mut out = std::ptr::null_mut();
        let network = |inputs: &[Tensor]| network(&inputs[0]);
        let call = ffi::call(&network);
        // SAFETY: tensor, network and place live through the call, and `call` is of this network.
        ffi::checked(unsafe {
            ffi::oxiseg_follow((&raw const network).cast_mut().cast(), call, example.as_ptr(), &mut out)
        })?;
        Ok(Self { held: out, example: example.size() })
    }

    /// Returns the shape of the input that it was traced on.
    pub fn example(&self) -> &[i64] {
        &self.example
    }

    /// Returns the bytes of its file.
    pub fn bytes(&self) -> Result<Vec<u8>, TorchError> {
        let mut bytes = Vec::new();
        // SAFETY: the script is alive, and `write` gets these bytes to write into.
        ffi::checked(unsafe { ffi::oxiseg_script_bytes(self.held, (&raw mut bytes).cast(), write) })?;
        Ok(bytes)
    }

    pub(crate) fn as_ptr(&self) -> *const ffi::CScript {
        self.held
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // SAFETY: the shim made it, and nobody else has it.
        unsafe { ffi::oxiseg_free_script(self.held) };
    }
}

/// Appends bytes for the shim.
///
/// # Safety
///
/// `into` must point to a live `Vec<u8>`, `bytes` to `n` bytes.
unsafe extern "C" fn write(into: *mut c_void, bytes: *const c_void, n: usize) {
    if n == 0 {
        return;
    }
    // SAFETY: as promised above.
    let (into, bytes) = unsafe { (&mut *into.cast::<Vec<u8>>(), std::slice::from_raw_parts(bytes.cast::<u8>(), n)) };
    into.extend_from_slice(bytes);
}
