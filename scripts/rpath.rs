//! Build script of every crate whose tests or programs run libtorch: they find it where they were linked with it,
//! without LD_LIBRARY_PATH. torch-sys (`links = "tch"`) passes the folder to its direct dependents.

use std::{env, path::Path};

/// Passes the folder to the linker.
pub fn main() {
    let Ok(lib) = env::var("DEP_TCH_LIBTORCH_LIB") else { return };
    if env::var("CARGO_CFG_TARGET_FAMILY").is_ok_and(|family| family != "unix") {
        return;
    }
    println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
    // Nothing refers to a symbol of the CUDA library, so the linker would drop it, and with it every GPU.
    if Path::new(&lib).join("libtorch_cuda.so").exists() {
        println!("cargo:rustc-link-arg=-Wl,--no-as-needed,-ltorch_cuda,--as-needed");
    }
}
