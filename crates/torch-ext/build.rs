//! Compiles the C++ shim against the libtorch that torch-sys links.

use std::{env, path::PathBuf};

#[path = "../../scripts/rpath.rs"]
mod rpath;

fn main() -> Result<(), env::VarError> {
    println!("cargo:rerun-if-changed=cpp");
    println!("cargo:rerun-if-env-changed=LIBTORCH_CXX11_ABI");
    let lib = PathBuf::from(env::var("DEP_TCH_LIBTORCH_LIB")?);
    let include = lib.with_file_name("include");
    let abi = env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".into());
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++17")
        .warnings(false) // libtorch's headers are not clean under -Wall
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        // As libtorch is built: its headers' classes have members that only debug builds have.
        .define("NDEBUG", None)
        .define("_GLIBCXX_USE_CXX11_ABI", abi.as_str())
        // In every profile: loops that are not vectorised would be slower than what they take the place of.
        .opt_level(3)
        .files(
            ["shim", "script", "norm_relu", "convolution", "winograd", "pool", "recompute"]
                .map(|name| format!("cpp/{name}.cpp")),
        );
    // libtorch's own threads; without OpenMP its headers leave all loops to the caller's.
    if lib.join("libgomp.so.1").exists() {
        build.flag("-fopenmp");
        println!("cargo:rustc-link-search=native={}", lib.display());
        println!("cargo:rustc-link-lib=dylib:+verbatim=libgomp.so.1");
    }
    build.compile("oxiseg_torch_ext");
    rpath::main();
    Ok(())
}
