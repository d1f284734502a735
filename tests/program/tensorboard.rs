//! Event files read back by the real TensorBoard.

use super::support::{Place, python, root, skip};
use serde_json::{Map, Value};

/// Returns `{run: {tag: [[step, value], …]}}`, as TensorBoard reads it.
fn read(place: &Place, logs: &str) -> Option<Map<String, Value>> {
    let script = root().join("tests/reference/read_events.py");
    let output = python()?.arg(script).arg(place.path(logs)).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn tensorboard_reads_what_metrics_jsonl_says_also_after_a_resume() {
    let place = Place::new();
    place.train("").ok();
    place.app("train --set train.epochs=4 --run runs/tiny").ok();
    let Some(read) = read(&place, "runs/tiny/logs") else { return skip("no Python packages: run scripts/python") };
    let lines = place.metrics("runs/tiny");
    assert_eq!(lines.len(), 8);
    for stage in ["train", "validation"] {
        for tag in ["loss", "accuracy", "mean_iou", "learning_rate", "iou/circle"] {
            let points = read[stage][tag].as_array().unwrap();
            let expected: Vec<&Value> = lines.iter().filter(|line| line["stage"] == stage).collect();
            assert_eq!(points.len(), 4, "{stage} {tag}: {points:?}");
            for (point, line) in points.iter().zip(expected) {
                assert_eq!(point[0], line["epoch"], "the step is the epoch, as in the article");
                let (found, wanted) = (point[1].as_f64().unwrap(), line[tag].as_f64().unwrap());
                assert_eq!(found, f64::from(wanted as f32), "{stage} {tag}");
            }
        }
    }
}

#[test]
fn steps_are_written_where_they_are_asked_for() {
    let place = Place::new();
    place.train("--set summary.per_step=true").ok();
    let steps: Vec<Value> = place.metrics("runs/tiny").into_iter().filter(|line| line["stage"] == "step").collect();
    assert_eq!(
        steps.iter().map(|line| line["step"].as_u64().unwrap()).collect::<Vec<_>>(),
        (1..=10).collect::<Vec<_>>()
    );
    let Some(read) = read(&place, "runs/tiny/logs") else { return skip("no Python packages: run scripts/python") };
    let points = read["train/steps"]["step/loss"].as_array().unwrap();
    assert_eq!(points.len(), 10);
    assert_eq!(points[9][1].as_f64().unwrap(), f64::from(steps[9]["loss"].as_f64().unwrap() as f32));
}
