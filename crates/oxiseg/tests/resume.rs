//! The front page's example resumes to the same tensors.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::ffi::OsString;
use std::{fs, path::Path};

#[path = "../examples/resume.rs"]
#[allow(dead_code, reason = "its main is for `cargo run`")]
mod resume;

/// Returns the files of the newest checkpoint that hold tensors.
fn last(folder: &Path) -> Vec<(OsString, Vec<u8>)> {
    let newest = folder.join("step-0000000040");
    let files = fs::read_dir(newest).unwrap().map(|entry| entry.unwrap());
    let tensors = files.filter(|file| file.path().extension().is_some_and(|extension| extension == "safetensors"));
    let mut all: Vec<_> = tensors.map(|file| (file.file_name(), fs::read(file.path()).unwrap())).collect();
    all.sort();
    all
}

#[test]
fn a_training_that_was_stopped_ends_with_the_same_tensors() {
    let place = tempfile::tempdir().unwrap();
    let (straight, resumed) = (place.path().join("straight"), place.path().join("resumed"));
    resume::train(straight.to_str().unwrap(), 2).unwrap();
    // Stopped after step 24, in the second epoch of 20 steps.
    let middle = resumed.join("step-0000000024");
    fs::create_dir_all(&middle).unwrap();
    for entry in fs::read_dir(straight.join("step-0000000024")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), middle.join(entry.file_name())).unwrap();
    }
    resume::train(resumed.to_str().unwrap(), 2).unwrap();
    let expected = last(&straight);
    let names: Vec<_> = expected.iter().map(|(name, _)| name.to_str().unwrap()).collect();
    assert_eq!(names, ["metric.safetensors", "model.safetensors", "optimizer.safetensors"]);
    assert!(last(&resumed) == expected, "other tensors than a training that was never stopped");
}
