//! Runs the fuzzer's checks on the files of its corpus: see `fuzz/README.md`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

#[path = "../fuzz/check.rs"]
mod check;
#[path = "../fuzz/seeds.rs"]
mod seeds;

use seeds::Seed;
use std::{
    fs,
    path::{Path, PathBuf},
};

type Check = fn(&[u8]) -> [bool; 2];

fn targets() -> [(&'static str, Check, Vec<Seed>); 2] {
    [("manifest", check::manifest, seeds::manifests()), ("tensors", check::tensors, seeds::tensors())]
}

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

#[test]
fn every_file_of_the_corpus_is_loaded_and_saved_again_or_refused() {
    for (target, check, _) in targets() {
        let (mut files, mut bytes) = (0, 0);
        for entry in fs::read_dir(folder(target)).unwrap() {
            let path = entry.unwrap().path();
            let content = fs::read(&path).unwrap();
            (files, bytes) = (files + 1, bytes + content.len());
            if let Err(panic) = contract::caught(|| check(&content)) {
                panic!("{}: {panic}", path.display());
            }
        }
        assert!((20..200).contains(&files) && bytes < 100_000, "{target}: {files} files, {bytes} bytes");
    }
}

#[test]
fn every_seed_is_in_the_corpus_and_is_what_it_is_meant_to_be() {
    for (target, check, seeds) in targets() {
        for Seed { name, bytes, whole } in seeds {
            let there = fs::read(folder(target).join(&name)).ok();
            assert!(
                there.as_ref() == Some(&bytes),
                "{target}/{name}: cargo test -p checkpoint --test corpus -- --ignored"
            );
            assert_eq!(check(&bytes)[0], whole, "{target}/{name}");
        }
    }
}

#[test]
#[ignore = "writes the seeds into the corpus"]
fn write_the_seeds() {
    for (target, _, seeds) in targets() {
        fs::create_dir_all(folder(target)).unwrap();
        for Seed { name, bytes, .. } in seeds {
            fs::write(folder(target).join(name), bytes).unwrap();
        }
    }
}
