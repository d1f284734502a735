//! Compiles the C++ shim against the libtorch that torch-sys links.

use std::path::{Path, PathBuf};
use std::{env, fs};

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
        // As libtorch is built too: declares its group over Gloo.
        .define("USE_C10D_GLOO", None)
        // In every profile: loops that are not vectorised would be slower than those that they replace.
        .opt_level(3)
        .files(
            [
                "shim",
                "optim",
                "stream",
                "trace",
                "context",
                "cross_entropy",
                "script",
                "parallel",
                "machine",
                "norm_relu",
                "sync_norm",
                "convolution",
                "folded",
                "winograd",
                "pool",
                "recompute",
                "resize",
                "c10d",
                "reducer",
            ]
            .map(|name| format!("cpp/{name}.cpp")),
        );
    println!("cargo:rustc-check-cfg=cfg(cuda, cuda_graphs)");
    if lib.join("libtorch_cuda.so").exists() {
        println!("cargo:rustc-cfg=cuda");
        println!("cargo:rerun-if-env-changed=CUDA_HOME");
        if let Some(headers) = cuda_headers(&lib) {
            build.include(headers).file("cpp/cuda_graph.cpp");
            if let Some(headers) = nccl_headers(&lib) {
                build.include(headers).define("USE_C10D_NCCL", None);
            } else {
                println!("cargo:warning=no NCCL: its headers were found neither beside libtorch nor in CUDA_HOME");
            }
            println!("cargo:rustc-cfg=cuda_graphs");
            println!("cargo:rustc-link-lib=c10_cuda");
        } else {
            println!(
                "cargo:warning=no CUDA graphs: CUDA's headers were found neither beside libtorch nor in CUDA_HOME"
            );
        }
    }
    // Last: these are for headers that none of the others has.
    build.include("cpp/forward");
    build.compile("oxiseg_torch_ext");
    // Tests of kernels that need these instructions are ignored elsewhere, with that reason.
    println!("cargo:rustc-check-cfg=cfg(avx512)");
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx512bf16") && std::is_x86_feature_detected!("avx512bw") {
        println!("cargo:rustc-cfg=avx512");
    }
    rpath::link();
    Ok(())
}

/// Finds CUDA's headers, which libtorch's own refer to. Those without `crt` are not complete.
fn cuda_headers(lib: &Path) -> Option<PathBuf> {
    headers(lib, &["cuda_runtime_api.h", "crt/host_defines.h"])
}

/// Finds the headers of NCCL, for groups of processes that have a GPU each.
fn nccl_headers(lib: &Path) -> Option<PathBuf> {
    headers(lib, &["nccl.h"])
}

/// Finds the folder that holds `files`: in libtorch, in NVIDIA's packages beside it (as `scripts/libtorch` and pip have
/// them), or in an installed CUDA.
fn headers(lib: &Path, files: &[&str]) -> Option<PathBuf> {
    let packages = lib.ancestors().nth(2).and_then(|beside| fs::read_dir(beside.join("nvidia")).ok());
    let packages = packages.into_iter().flatten().flatten().map(|package| package.path().join("include"));
    let installed = env::var_os("CUDA_HOME").map_or_else(|| "/usr/local/cuda".into(), PathBuf::from);
    let mut places = [lib.with_file_name("include")].into_iter().chain(packages).chain([installed.join("include")]);
    places.find(|place| files.iter().all(|file| place.join(file).is_file()))
}
