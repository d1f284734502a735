//! Link arguments for the programs of a package that runs libtorch, printed by its build script:
//!
//! ```no_run
//! rpath::link();
//! ```
//!
//! A program linked so finds libtorch without `LD_LIBRARY_PATH`.
//!
//! # What it does not do
//!
//! Cargo passes link arguments to the package's own programs, examples and tests, but not to packages that depend on
//! it: those run `scripts/libtorch --for`. It finds no libtorch: torch-sys does, by `LIBTORCH`.

use std::{env, path::Path};

/// Writes libtorch's folder into the programs of the package whose build script calls this. Does nothing unless the
/// package depends on torch-sys itself (`links = "tch"`), which passes the folder to its direct dependents only.
pub fn link() {
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
