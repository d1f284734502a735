//! Runs the fuzzer's checks on the files of its corpus: see `fuzz/README.md`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

#[path = "../fuzz/check.rs"]
mod check;

use std::fs;
use std::path::Path;

/// Runs `check` on all files of `folder`. Returns the number of files, and how many of them each check accepts.
fn run<const N: usize>(folder: &str, check: fn(&[u8]) -> [bool; N]) -> [usize; 2] {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let (mut files, mut good, mut bytes) = (0, 0, 0);
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let content = fs::read(&path).unwrap();
        (files, bytes) = (files + 1, bytes + content.len());
        match contract::caught(|| check(&content)) {
            Ok(done) => good += usize::from(done.contains(&true)),
            Err(panic) => panic!("{}: {panic}", path.display()),
        }
    }
    assert!(files < 300 && bytes < 200_000, "{files} files, {bytes} bytes");
    [files, good]
}

#[test]
fn images_are_decoded_or_refused() {
    let [files, good] = run("reference/images", check::image);
    assert!(files == good && files > 40, "{good} of {files}");
    assert!(run("fuzz/corpus/image", check::image)[0] > 0);
}

#[test]
fn masks_are_decoded_or_refused() {
    let [files, good] = run("reference/images", check::mask);
    // JPEGs, lossy WebP and 16-bit colours are no masks.
    assert!((20..files - 10).contains(&good), "{good} of {files}");
    assert!(run("fuzz/corpus/mask", check::mask)[0] > 0);
}

#[test]
fn lists_are_read_or_refused() {
    let [files, good] = run("fuzz/corpus/list", check::list);
    assert!(files > 8 && good > 3, "{good} of {files}");
}

#[test]
fn configurations_are_read_or_refused() {
    let [files, good] = run("fuzz/corpus/config", check::config);
    assert!(files > 7 && good > 5, "{good} of {files}");
}
