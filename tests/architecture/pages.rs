//! The front page of each crate that other teams use.

use super::{needs, packages};
use std::fs;

/// Returns true if a page has a block of Rust, which `cargo test` compiles, or takes in an example.
fn has_example(page: &[&str]) -> bool {
    let fences = page.iter().filter_map(|line| line.strip_prefix("//! ```"));
    let mut openings = fences.step_by(2);
    openings.any(|language| ["", "no_run"].contains(&language)) || page.iter().any(|line| line.contains("examples/"))
}

#[test]
fn front_pages_have_an_example_and_say_what_the_crate_does_not_do() {
    let facade = packages().iter().find(|package| package.name.as_str() == "oxiseg").unwrap();
    for package in packages() {
        if package.name != facade.name && needs(facade, &package.name).is_none() {
            continue;
        }
        let library = package.targets.iter().find(|target| target.is_lib()).unwrap();
        let text = fs::read_to_string(&library.src_path).unwrap();
        let of_page = |line: &&str| line.starts_with("//!") || line.starts_with("#![doc");
        let page: Vec<&str> = text.lines().take_while(of_page).collect();
        assert!(has_example(&page), "the front page of {} has no example", package.name);
        let limits = page.contains(&"//! # What it does not do");
        assert!(limits, "the front page of {} does not say what it does not do", package.name);
    }
}

#[test]
fn other_blocks_are_no_examples() {
    assert!(has_example(&["//! ```text", "//! files", "//! ```", "//!", "//! ```", "//! let a = 1;", "//! ```"]));
    assert!(has_example(&["//! ```no_run", "//! open();", "//! ```"]));
    assert!(!has_example(&["//! ```text", "//! files", "//! ```", "//! ```sh", "//! ls", "//! ```"]));
}
