//! Keeps libtorch's CUDA library in every program that this crate is part of.
//!
//! Programs name no symbol of that library, so a linker told `--as-needed`, as Rust tells it, would drop it, and with
//! it every GPU. An argument to the linker would reach the programs of one package only, or every build script and
//! procedural macro as well; a symbol that is named here reaches exactly the programs that compute with libtorch.

use std::ffi::c_int;

unsafe extern "C" {
    /// `at::cuda::warp_size()` of `libtorch_cuda`.
    #[link_name = "_ZN2at4cuda9warp_sizeEv"]
    fn warp_size() -> c_int;
}

/// The named symbol. It is never called.
#[used]
static KEPT: unsafe extern "C" fn() -> c_int = warp_size;
