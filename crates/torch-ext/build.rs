//! Compiles the C++ shim against the libtorch that torch-sys links.

use std::{env, path::PathBuf};

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
        // In every profile: loops that are not vectorised would be slower than those that they replace.
        .opt_level(3)
        .files(
            [
                "shim",
                "script",
                "parallel",
                "machine",
                "norm_relu",
                "convolution",
                "folded",
                "winograd",
                "pool",
                "recompute",
            ]
            .map(|name| format!("cpp/{name}.cpp")),
        );
    build.compile("oxiseg_torch_ext");
    // Tests of kernels that need these instructions are ignored elsewhere, with that reason.
    println!("cargo:rustc-check-cfg=cfg(avx512)");
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx512bf16") && std::is_x86_feature_detected!("avx512bw") {
        println!("cargo:rustc-cfg=avx512");
    }
    println!("cargo:rustc-check-cfg=cfg(cuda)");
    if lib.join("libtorch_cuda.so").exists() {
        println!("cargo:rustc-cfg=cuda");
    }
    rpath::link();
    Ok(())
}
