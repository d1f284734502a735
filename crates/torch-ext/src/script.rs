//! TorchScript files.

use crate::ffi;
use contract::TorchError;
use std::ffi::CString;
use std::path::Path;

/// Writes the TorchScript of the file `from` to the file `to` in a form that is only good for evaluation: parameters become
/// constants, and BatchNorm is folded into the convolutions before it (libtorch's `freeze`).
pub fn freeze_script(from: &Path, to: &Path) -> Result<(), TorchError> {
    let [from, to] = [name(from)?, name(to)?];
    // SAFETY: two NUL-terminated strings that live through the call.
    ffi::checked(unsafe { ffi::oxiseg_freeze_script(from.as_ptr(), to.as_ptr()) })
}

/// The name of a file as libtorch takes it.
pub(crate) fn name(path: &Path) -> Result<CString, TorchError> {
    let name = path.to_str().and_then(|name| CString::new(name).ok());
    name.ok_or_else(|| TorchError::new(&format!("{} is a name that libtorch cannot open", path.display())))
}
