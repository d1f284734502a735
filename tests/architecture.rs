//! Rules of the architecture: which crate may depend on which, and what a crate may contain.

use cargo_metadata::{DependencyKind, MetadataCommand, Package};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each crate with the project's crates that it depends on, dev-dependencies aside. `app` may depend on all, so it is
/// not listed.
const KNOWS: [(&str, &[&str]); 17] = [
    ("regular", &[]),
    ("rpath", &[]),
    ("contract", &[]),
    ("torch-ext", &["contract"]),
    ("data", &["contract", "regular", "torch-ext"]),
    ("model", &["contract", "torch-ext"]),
    ("loss", &["contract"]),
    ("metric", &["contract"]),
    ("optim", &["contract", "torch-ext"]),
    ("checkpoint", &["contract", "regular"]),
    ("summary", &["regular"]),
    ("report", &["regular"]),
    ("terminal", &[]),
    ("weights", &["contract", "regular"]),
    ("export", &["contract", "torch-ext"]),
    ("executors", &["contract", "torch-ext"]),
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
            "checkpoint",
            "summary",
            "report",
            "terminal",
            "weights",
            "export",
            "executors",
        ],
    ),
];

/// Crates without input or output of any kind.
const PURE: [&str; 7] = ["contract", "torch-ext", "model", "loss", "metric", "optim", "executors"];

fn packages() -> Vec<Package> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let metadata = MetadataCommand::new().manifest_path(manifest).no_deps().exec().unwrap();
    metadata.packages
}

fn needs<'p>(package: &'p Package, name: &str) -> Option<&'p cargo_metadata::Dependency> {
    package.dependencies.iter().find(|d| d.name == name && d.kind == DependencyKind::Normal)
}

fn sources(package: &Package) -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(package.manifest_path.parent().unwrap().as_std_path(), &mut found);
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
        let plain = ["summary", "report", "terminal", "regular", "rpath"].contains(&name);
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
    let root = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml")).unwrap();
    assert!(root.contains("unsafe_code = \"forbid\""));
}

#[test]
fn pure_crates_do_no_input_or_output() {
    for package in packages().iter().filter(|package| PURE.contains(&package.name.as_str())) {
        let library = |path: &PathBuf| path.to_string_lossy().contains("/src/") && !path.ends_with("tests.rs");
        for file in sources(package).into_iter().filter(library) {
            let text = fs::read_to_string(&file).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            for word in ["std::fs", "std::io", "std::net", "std::process", "std::env", "println!", "eprint", "dbg!"] {
                assert!(!code.contains(word), "{}: {word}", file.display());
            }
        }
    }
}

#[test]
fn files_are_short() {
    let mut lengths: Vec<usize> = Vec::new();
    for file in packages().iter().flat_map(sources) {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= 400, "{} has {lines} lines and wants a second room", file.display());
        lengths.push(lines);
    }
    lengths.sort_unstable();
    assert!(lengths[lengths.len() / 2] <= 150, "the median is {}", lengths[lengths.len() / 2]);
}
