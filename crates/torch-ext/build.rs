//! Compiles the C++ shim against the libtorch that torch-sys links.

use std::{env, path::PathBuf};

#[path = "../../scripts/rpath.rs"]
mod rpath;

fn main() -> Result<(), env::VarError> {
    println!("cargo:rerun-if-changed=shim.cpp");
    println!("cargo:rerun-if-env-changed=LIBTORCH_CXX11_ABI");
    let lib = PathBuf::from(env::var("DEP_TCH_LIBTORCH_LIB")?);
    let include = lib.with_file_name("include");
    let abi = env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".into());
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .warnings(false) // libtorch's headers are not clean under -Wall
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        // As libtorch is built: its headers' classes have members that only debug builds have.
        .define("NDEBUG", None)
        .define("_GLIBCXX_USE_CXX11_ABI", abi.as_str())
        .file("shim.cpp")
        .compile("oxiseg_torch_ext");
    rpath::main();
    Ok(())
}
