//! The example of the front page does what it says.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{fs, path::Path};

#[path = "../examples/resume.rs"]
#[allow(dead_code, reason = "its main is for `cargo run`")]
mod resume;

fn last(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let newest = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).max().unwrap();
    assert!(newest.ends_with("step-0000000040"), "{}", newest.display());
    let files = fs::read_dir(newest).unwrap().map(|entry| entry.unwrap().path());
    let tensors = files.filter(|file| file.extension().is_some_and(|extension| extension == "safetensors"));
    let mut all: Vec<_> =
        tensors.map(|file| (file.file_name().unwrap().to_str().unwrap().into(), fs::read(&file).unwrap())).collect();
    all.sort();
    all
}

#[test]
fn a_training_goes_on_from_its_last_checkpoint_to_the_same_tensors() {
    let folder = tempfile::tempdir().unwrap();
    let train = |name: &str| resume::train(folder.path().join(name).to_str().unwrap(), 2).unwrap();
    train("straight");
    // As if it had been stopped after step 24, in the middle of the second epoch.
    fs::create_dir(folder.path().join("resumed")).unwrap();
    let middle = |name: &str| folder.path().join(name).join("step-0000000024");
    train("straight");
    assert!(!middle("straight").exists(), "the store keeps three");
}
