//! The example's log, as TensorBoard reads it.

use crate::logs::read;
use serde_json::json;
use std::process::Command;

#[test]
fn the_log_of_a_foreign_loop_is_read() {
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().unwrap().parent().unwrap().join("examples/tensorboard");
    assert!(program.exists(), "{} is missing: run cargo test -p summary", program.display());
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(program).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let lines = std::fs::read_to_string(folder.path().join("metrics.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 10);

    let Some(said) = read("read_plugins.py", &folder.path().join("logs")) else { return };
    let scalars = &said["scalars"]["train"];
    let losses: Vec<f64> = scalars["loss"].as_array().unwrap().iter().map(|p| p[1].as_f64().unwrap()).collect();
    assert_eq!(losses.len(), 10);
    // An error shrinks to 0.6 of itself in each epoch.
    assert!((losses[9] / losses[0] - 0.36f64.powi(9)).abs() < 1e-4, "{losses:?}");
    assert_eq!(scalars["learning_rate"][0][0], 1);
    let pictures = said["images"]["train"]["learnt/0"].as_array().unwrap();
    assert_eq!((&pictures[9][0], &pictures[9][2]), (&json!(10), &json!([32, 32])));
    let first_pixel = [0, 1, 2].map(|channel| pictures[9][3][channel].as_f64().unwrap() / 255.0);
    let sky = [0.2, 0.3 + 20f64.hypot(12.0) / 80.0, 0.7];
    assert!(first_pixel.iter().zip(sky).all(|(learnt, target)| (learnt - target).abs() < 0.01), "{first_pixel:?}");
    let histogram = said["histograms"]["train"]["errors"][0][1].as_array().unwrap();
    let values: f64 = histogram.iter().map(|bucket| bucket[2].as_f64().unwrap()).sum();
    assert_eq!(values, 32.0 * 32.0 * 3.0);
}
