//! Names from outside a crate in its sources: input and output, sibling crates, class ids.

use super::modules::{Crate, Mention, Target, Way};
use super::{KNOWS, PURE, crates, packages};
use std::collections::BTreeSet;

/// Paths that lead to input and output. `std::*` is among them because it hides which of them is meant.
const OUTWARD: [&str; 9] = [
    "std::*",
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::os",
    "std::process",
    "glob::glob",
    "glob::glob_with",
];

/// Macros that write to a terminal.
const PRINTING: [&str; 5] = ["dbg", "eprint", "eprintln", "print", "println"];

/// Methods of [`std::path::Path`] that ask the file system.
const ASKING: [&str; 10] = [
    "canonicalize",
    "exists",
    "is_dir",
    "is_file",
    "is_symlink",
    "metadata",
    "read_dir",
    "read_link",
    "symlink_metadata",
    "try_exists",
];

/// Crates that may take targets for class ids, and `contract`, which defines the constant.
const OF_CLASSES: [&str; 5] = ["app", "contract", "data", "loss", "metric"];

/// Returns each mention that leads out of the crate, with its full path.
fn outward(krate: &Crate) -> impl Iterator<Item = (&Mention, Vec<String>)> {
    krate.mentions.iter().flat_map(|mention| {
        let paths = krate.targets(mention).into_iter().filter_map(|target| match target {
            Target::Outside(path) => Some((mention, path)),
            _ => None,
        });
        paths.collect::<Vec<_>>()
    })
}

/// Lists the places where a crate does input or output.
pub fn leaks(krate: &Crate) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for (mention, path) in outward(krate) {
        let name = path.last().map_or("", String::as_str);
        let prints = PRINTING.contains(&name) && (path.len() == 1 && mention.way == Way::Macro || path[0] == "std");
        let joined = path.join("::");
        let leads =
            |way: &&str| joined.strip_prefix(*way).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
        if prints || OUTWARD.iter().any(leads) {
            found.push(format!("{}: {joined}", krate.place(mention).display()));
        }
    }
    for mention in krate.mentions.iter().filter(|mention| mention.way == Way::Method) {
        if ASKING.contains(&mention.path.segments[0].as_str()) {
            found.push(format!("{}: .{}", krate.place(mention).display(), mention.path.segments[0]));
        }
    }
    found
}

/// Returns the other crates that a crate names.
pub fn named(krate: &Crate) -> BTreeSet<String> {
    // A single name in code may be a variable that a macro brings; a crate is no value.
    let names =
        outward(krate).filter(|(mention, path)| path.len() > 1 || matches!(mention.way, Way::Use | Way::Reexport));
    names.map(|(_, path)| path[0].clone()).collect()
}

#[test]
fn pure_crates_do_no_input_or_output() {
    for (name, krate) in crates().iter().filter(|(name, _)| PURE.contains(&name.as_str())) {
        let leaks = leaks(krate);
        assert!(leaks.is_empty(), "{name} is to do no input or output:\n{}", leaks.join("\n"));
    }
}

#[test]
fn sources_name_the_crates_that_they_may_know() {
    let ours: BTreeSet<String> = packages().iter().map(|package| package.name.replace('-', "_")).collect();
    for (name, allowed) in KNOWS {
        let known: BTreeSet<String> =
            crates().iter().filter(|(of, _)| of == name).flat_map(|(_, of)| named(of)).collect();
        let allowed: BTreeSet<String> = allowed.iter().map(|other| other.replace('-', "_")).collect();
        assert_eq!(known.intersection(&ours).cloned().collect::<BTreeSet<_>>(), allowed, "{name}");
    }
}

#[test]
fn only_loss_and_metric_assume_class_ids() {
    for (name, krate) in crates().iter().filter(|(name, _)| !OF_CLASSES.contains(&name.as_str())) {
        for mention in &krate.mentions {
            let named = mention.path.segments.iter().any(|segment| segment == "IGNORE_INDEX");
            assert!(!named, "{name}, {}: targets are what loss and metric agree on", krate.place(mention).display());
        }
    }
}

/// Files of `app` that may hold the parts of a run: those of the loop, of its pictures, of the page and of the command
/// line.
const OF_THE_RUN: [&str; 3] = ["src/main.rs", "src/report.rs", "src/train"];

/// Parts of a run: its guard, what saves it, what stops it.
const PARTS_OF_A_RUN: [&str; 5] = ["Lock", "Opened", "Session", "Settings", "Signals"];

#[test]
fn only_the_loop_of_the_app_knows_guards_saving_and_signals() {
    let (_, app) = crates().iter().find(|(name, _)| name == "app").unwrap();
    let of_run = |path: &[String]| {
        path[0] == "session" && path.get(1).is_none_or(|item| PARTS_OF_A_RUN.contains(&item.as_str()) || item == "*")
    };
    let tests = |file: &str| file.contains("/tests");
    let found: BTreeSet<String> = outward(app)
        .filter(|(_, path)| of_run(path))
        .map(|(mention, _)| app.place(mention).display().to_string())
        .filter(|file| !tests(file))
        .collect();
    let strangers: Vec<&String> =
        found.iter().filter(|file| !OF_THE_RUN.iter().any(|known| file.contains(known))).collect();
    assert!(found.iter().any(|file| file.contains("src/train.rs")), "the test no longer sees them: {found:?}");
    assert!(strangers.is_empty(), "these files know parts of a run: {strangers:?}");
}
