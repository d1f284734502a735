//! Tests that the comparison sees differences.

use super::*;
use contract::{Progress, StateDict};
use std::collections::BTreeMap;
use tempfile::TempDir;

/// Returns the next larger float.
fn next_float(value: f32) -> f32 {
    f32::from_bits(value.to_bits() + 1)
}

/// Creates a run folder with one checkpoint and two lines.
fn run(weight: f32, loss: &str, step: u64) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let model = StateDict::from([("a".into(), Tensor::from_slice(&[weight, 2.0])), ("b".into(), Tensor::from(3i64))]);
    let states = BTreeMap::from([("model".to_string(), model)]);
    let progress = Progress { step, ..Progress::default() };
    let snapshot = Snapshot { progress, states, scores: BTreeMap::new(), about: Value::Null };
    Run { folder: folder.path().into() }.store(&checkpoint::Config::default()).save(&snapshot).unwrap();
    // The time differs between any two runs.
    let time = folder.path().display().to_string().len() as f64 + f64::from(weight);
    let lines = format!("{{\"step\":1,\"time\":{time},\"loss\":0.5}}\n{{\"step\":2,\"time\":1,\"loss\":{loss}}}\n");
    fs::write(folder.path().join("metrics.jsonl"), lines).unwrap();
    folder
}

fn compared(a: &TempDir, b: &TempDir) -> (String, bool) {
    compare(a.path(), b.path()).unwrap()
}

#[test]
fn the_same_is_the_same() {
    let (table, same) = compared(&run(1.0, "0.25", 2), &run(1.0, "0.25", 2));
    assert!(same, "{table}");
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!((&rows[1][..3], &rows[2][..3]), (&["model", "2", "2"][..], &["metrics", "2", "2"][..]), "{table}");
}

#[test]
fn one_bit_of_one_tensor_is_seen_and_named() {
    let (table, same) = compared(&run(1.0, "0.25", 2), &run(next_float(1.0), "0.25", 2));
    assert!(!same && table.ends_with("differs: model a"), "{table}");
}

#[test]
fn one_line_and_one_step_are_seen() {
    assert!(!compared(&run(1.0, "0.25", 2), &run(1.0, "0.250001", 2)).1);
    let (table, same) = compared(&run(1.0, "0.25", 2), &run(1.0, "0.25", 3));
    assert!(!same && table.contains("step: 2") && table.contains("step: 3"), "{table}");
    let (a, b) = (run(1.0, "0.25", 2), run(1.0, "0.25", 2));
    fs::write(b.path().join("metrics.jsonl"), "").unwrap();
    assert!(!compared(&a, &b).1);
}

#[test]
fn a_state_that_one_has_alone_is_seen() {
    let (a, b) = (run(1.0, "0.25", 2), run(1.0, "0.25", 2));
    let more = StateDict::from([("average.a".into(), Tensor::from(1f32))]);
    let states = BTreeMap::from([("average".to_string(), more)]);
    let progress = Progress { step: 2, ..Progress::default() };
    let snapshot = Snapshot { progress, states, scores: BTreeMap::new(), about: Value::Null };
    Run { folder: b.path().into() }.store(&checkpoint::Config::default()).save(&snapshot).unwrap();
    let (table, same) = compared(&a, &b);
    assert!(!same && table.contains("differs: average average.a") && table.contains("differs: model a"), "{table}");
}

#[test]
fn the_places_are_within_the_steps_and_not_all_the_same() {
    let mut random = Random(7);
    let places: Vec<u64> = (0..100).map(|_| random.below(10)).collect();
    assert!((0..10).all(|place| places.contains(&place)) && places.iter().all(|place| *place < 10));
}
