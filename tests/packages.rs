//! Packages as other teams get them: each whole, and all under one name.

use cargo_metadata::{MetadataCommand, Package};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Returns the packages that others may depend on.
fn libraries() -> Vec<Package> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let mut all = MetadataCommand::new().manifest_path(manifest).no_deps().exec().unwrap().packages;
    all.retain(|package| !["app", "tests"].contains(&package.name.as_str()));
    all
}

fn folder(package: &Package) -> &Path {
    package.manifest_path.parent().unwrap().as_std_path()
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Resolves `..` without a look at the disk.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            other => plain.push(other),
        }
    }
    plain
}

/// Returns the paths that `text` names for the compiler to read.
fn read_by_compiler(text: &str) -> Vec<&str> {
    let openings = ["#[path = \"", "include_str!(\"", "include_bytes!(\"", "include!(\""];
    let after =
        openings.iter().flat_map(|opening| text.match_indices(opening).map(|(at, _)| &text[at + opening.len()..]));
    after.map(|rest| rest.split('"').next().unwrap()).collect()
}

#[test]
fn a_library_is_built_from_the_files_of_its_package() {
    assert_eq!(read_by_compiler("#[path = \"../a.rs\"] include_str!(\"b\")"), ["../a.rs", "b"]);
    for package in libraries() {
        let folder = folder(&package);
        for target in &package.targets {
            assert!(target.src_path.starts_with(folder), "{}: {} lies outside", package.name, target.src_path);
        }
        let mut files = Vec::new();
        rust_files(&folder.join("src"), &mut files);
        for file in files {
            for path in read_by_compiler(&fs::read_to_string(&file).unwrap()) {
                let named = plain(&file.parent().unwrap().join(path));
                assert!(named.starts_with(folder), "{}: {path} lies outside of the package", file.display());
            }
        }
    }
}

#[test]
fn the_facade_names_every_library_and_adds_nothing() {
    let libraries = libraries();
    let facade = libraries.iter().find(|package| package.name == "oxiseg").unwrap();
    let text = fs::read_to_string(folder(facade).join("src/lib.rs")).unwrap();
    let mut named = BTreeMap::new();
    let mut feature = None;
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with("//!") && !line.starts_with("#![doc"))
    {
        if let Some(name) = line.strip_prefix("#[cfg(feature = \"").and_then(|rest| rest.strip_suffix("\")]")) {
            feature = Some(name);
        } else {
            let name = line.strip_prefix("pub use ").and_then(|rest| rest.strip_suffix(';'));
            let name = name.unwrap_or_else(|| panic!("the facade only re-exports, this is more: {line}"));
            named.insert(name.replace('_', "-"), feature.take().unwrap().to_owned());
        }
    }
    // What the contract's types are made of comes with it; what serves builds, tests and insides is not for others.
    for part in ["tch", "torch-ext"] {
        assert_eq!(named.remove(part).as_deref(), Some("contract"), "{part}");
    }
    assert!(named.iter().all(|(name, feature)| name == feature), "{named:?}");
    let named: BTreeSet<&str> = named.keys().map(String::as_str).collect();
    let inside = ["oxiseg", "regular", "rpath", "testing", "torch-ext"];
    let others = libraries.iter().map(|package| package.name.as_str()).filter(|name| !inside.contains(name));
    assert_eq!(named, others.collect());

    let features = &facade.features;
    let mut reached: BTreeSet<&str> = BTreeSet::new();
    let mut open = vec!["full"];
    while let Some(name) = open.pop() {
        if reached.insert(name) {
            open.extend(features.get(name).into_iter().flatten().map(String::as_str));
        }
    }
    for name in &named {
        assert!(reached.contains(name), "the feature full leaves {name} out");
    }
    for name in features.keys().filter(|name| *name != "default") {
        assert!(text.contains(&format!("\n//! | `{name}` | ")), "{name} is not in the table of the front page");
    }
}
