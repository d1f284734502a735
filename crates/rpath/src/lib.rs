//! The linker's arguments for programs that run libtorch, from the build script of their package:
//!
//! ```no_run
//! rpath::link();
//! ```
//!
//! A program linked so finds libtorch without `LD_LIBRARY_PATH`. Cargo passes link arguments to the package's own
//! programs, examples and tests, but not to packages that depend on it (those run `scripts/libtorch --for`) and not to
//! tests in documentation.

use std::{env, path::Path};

/// Writes libtorch's folder into the programs of the package whose build script this is. The package must depend on
/// torch-sys itself (`links = "tch"`), which tells the folder to its direct dependents only; otherwise nothing is done.
pub fn link() {
    let Ok(lib) = env::var("DEP_TCH_LIBTORCH_LIB") else { return };
    if env::var("CARGO_CFG_TARGET_FAMILY").is_ok_and(|family| family != "unix") {
        return;
    }
    println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
    // Nothing names a symbol of the CUDA library, so the linker would drop it, and with it every GPU.
    if Path::new(&lib).join("libtorch_cuda.so").exists() {
        println!("cargo:rustc-link-arg=-Wl,--no-as-needed,-ltorch_cuda,--as-needed");
    }
}
