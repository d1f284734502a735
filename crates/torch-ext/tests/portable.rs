//! The C++ shim compiles for processors without the instructions of x86-64.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

const COMPILER: &str = "aarch64-linux-gnu-g++";

/// Nothing is linked: libtorch's headers serve all processors, its libraries one.
#[test]
#[ignore = "many-fold: scripts/test --all"]
fn the_shim_compiles_for_aarch64() {
    let skip = |why: &str| drop(writeln!(std::io::stderr(), "SKIPPED: compiling the shim for aarch64: {why}"));
    if Command::new(COMPILER).arg("--version").output().is_err() {
        return skip(&format!("{COMPILER} is not there"));
    }
    let Some(libtorch) = env::var_os("LIBTORCH") else { return skip("LIBTORCH is not set") };
    let include = Path::new(&libtorch).join("include");
    let cpp = Path::new(env!("CARGO_MANIFEST_DIR")).join("cpp");
    let mut sources: Vec<_> = fs::read_dir(&cpp).unwrap().map(|entry| entry.unwrap().path()).collect();
    sources.retain(|path| path.extension().is_some_and(|extension| extension == "cpp"));
    assert!(sources.len() >= 10, "{sources:?}");
    for source in sources {
        let mut compiler = Command::new(COMPILER);
        compiler.args(["-std=c++17", "-w", "-DNDEBUG", "-fsyntax-only", "-I"]).arg(&include);
        compiler.arg("-I").arg(include.join("torch/csrc/api/include")).arg(&source);
        let output = compiler.output().unwrap();
        assert!(output.status.success(), "{}: {}", source.display(), String::from_utf8_lossy(&output.stderr));
    }
}
