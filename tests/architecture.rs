//! The walls of the house: who may know whom, and what may stand where.

mod circles;
mod comments;
mod decoders;
mod imports;
mod lexer;
mod modules;
mod names;
mod pages;
mod syntax;
mod tokens;
mod ways;

use cargo_metadata::{DependencyKind, MetadataCommand, Package};
use modules::Crate;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Each crate and those of the project that it knows, dev-dependencies aside. `app` may know all and is left out.
const KNOWS: [(&str, &[&str]); 25] = [
    ("regular", &[]),
    ("rpath", &[]),
    ("testing", &["contract"]),
    ("contract", &[]),
    ("torch-ext", &["contract"]),
    ("raster", &["regular"]),
    ("annotation", &[]),
    ("data", &["annotation", "contract", "raster", "regular", "torch-ext"]),
    ("model", &["contract", "torch-ext"]),
    ("loss", &["contract", "torch-ext"]),
    ("metric", &["contract", "torch-ext"]),
    ("optim", &["contract", "torch-ext"]),
    ("distributed", &["contract", "torch-ext"]),
    ("checkpoint", &["contract", "regular"]),
    ("summary", &["regular"]),
    ("report", &["regular", "summary"]),
    ("terminal", &[]),
    ("postprocess", &[]),
    ("fetch", &["regular"]),
    ("weights", &["contract", "regular"]),
    ("export", &["contract", "torch-ext"]),
    ("executors", &["contract", "torch-ext"]),
    ("session", &["checkpoint", "contract", "executors", "regular", "summary", "terminal", "torch-ext"]),
    ("saved", &["contract", "data", "executors", "export", "model", "regular", "weights"]),
    // The facade, which only names the others.
    (
        "oxiseg",
        &[
            "contract",
            "torch-ext",
            "data",
            "model",
            "loss",
            "metric",
            "optim",
            "distributed",
            "checkpoint",
            "summary",
            "report",
            "terminal",
            "postprocess",
            "annotation",
            "raster",
            "fetch",
            "weights",
            "export",
            "executors",
            "session",
            "saved",
        ],
    ),
];

/// Crates that do no input or output of any kind.
const PURE: [&str; 8] = ["contract", "torch-ext", "model", "loss", "metric", "optim", "executors", "postprocess"];

/// Folder of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn packages() -> &'static [Package] {
    static PACKAGES: OnceLock<Vec<Package>> = OnceLock::new();
    PACKAGES.get_or_init(|| {
        MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap().packages
    })
}

/// Returns all libraries and programs of the workspace with the name of their package.
fn crates() -> &'static [(String, Crate)] {
    static CRATES: OnceLock<Vec<(String, Crate)>> = OnceLock::new();
    CRATES.get_or_init(|| {
        let read = |package: &Package| {
            let targets = package.targets.iter().filter(|target| target.is_lib() || target.is_bin());
            let roots: Vec<PathBuf> = targets.map(|target| target.src_path.clone().into()).collect();
            let crates = roots.into_iter().map(|root| Crate::read(&root, &|file| fs::read_to_string(file).ok()));
            crates.map(|krate| (package.name.to_string(), krate)).collect::<Vec<_>>()
        };
        packages().iter().flat_map(read).collect()
    })
}

fn needs<'p>(package: &'p Package, name: &str) -> Option<&'p cargo_metadata::Dependency> {
    package.dependencies.iter().find(|d| d.name == name && d.kind == DependencyKind::Normal)
}

/// Returns all files of the workspace with one of `extensions`, built ones and hidden folders aside.
fn files(extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy();
            if path.is_dir() && !path.is_symlink() && !name.starts_with('.') && name != "target" {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extensions.iter().any(|other| extension == *other)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn crates_know_only_whom_they_may_know() {
    let packages = packages();
    let ours: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let expected: BTreeSet<&str> = KNOWS.iter().map(|(name, _)| *name).chain(["app", "tests"]).collect();
    assert_eq!(ours, expected, "a new crate belongs into the table above");
    for (name, allowed) in KNOWS {
        let package = packages.iter().find(|package| package.name.as_str() == name).unwrap();
        let known: BTreeSet<&str> = ours.iter().copied().filter(|other| needs(package, other).is_some()).collect();
        assert_eq!(known, allowed.iter().copied().collect(), "{name}");
        let heavy = ["tch", "tensorboard-proto", "anyhow"].map(|other| needs(package, other).is_some());
        let plain =
            ["annotation", "fetch", "postprocess", "raster", "regular", "report", "rpath", "summary", "terminal"]
                .contains(&name);
        assert_eq!(heavy, [!plain, name == "summary", false], "{name}: tch, tensorboard-proto, anyhow");
    }
}

#[test]
fn folders_are_named_like_their_crates() {
    for package in packages() {
        assert_eq!(package.manifest_path.parent().unwrap().file_name(), Some(package.name.as_str()));
    }
}

#[test]
fn only_torch_ext_is_unsafe() {
    for package in packages() {
        let manifest = fs::read_to_string(&package.manifest_path).unwrap();
        let guarded = manifest.contains("[lints]\nworkspace = true");
        assert_eq!(guarded, package.name.as_str() != "torch-ext", "{}", package.name);
    }
    let root = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(root.contains("unsafe_code = \"forbid\""));
}

#[test]
fn files_are_short() {
    let mut lengths: Vec<usize> = Vec::new();
    for file in files(&["rs"]) {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= 400, "{} has {lines} lines and wants a second room", file.display());
        lengths.push(lines);
    }
    lengths.sort_unstable();
    assert!(lengths[lengths.len() / 2] <= 150, "the median is {}", lengths[lengths.len() / 2]);
}
