//! `app runs`: the overview of several runs, which leaves them unchanged.

use super::support::Place;
use serde_json::{Value, json};
use std::fs::{self, File};

/// Returns the runs under `runs/` as JSON.
fn listed(place: &Place) -> Vec<Value> {
    serde_json::from_str(&place.app("runs --json").ok().stdout).unwrap()
}

#[test]
fn runs_are_listed_newest_first_with_what_distinguishes_them() {
    let place = Place::new();
    place.train("--run runs/a --set train.seed=1").ok();
    let stopped = place.train("--run runs/group/b --set train.seed=2 --until-step 3");
    assert_eq!(stopped.status, 75, "{}", stopped.stderr);
    fs::create_dir_all(place.path("runs/broken")).unwrap();
    fs::write(place.path("runs/broken/config.json"), "{").unwrap();
    fs::remove_file(place.path("runs/a/lock")).unwrap();

    let table = place.app("runs").ok().stdout;
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0][..6], ["name", "state", "epoch", "best", "age", "size"], "{table}");
    assert_eq!(rows[1][..4], ["broken", "failed", "-", "-"], "{table}");
    assert_eq!(rows[2][..4], ["group/b", "resumable", "0/2", "-"], "{table}");
    assert_eq!(rows[3][..4], ["a", "finished", "2/2", "mean_iou"], "{table}");
    assert_eq!((rows[2].last(), rows[3].last()), (Some(&"train.seed=2"), Some(&"train.seed=1")), "{table}");
    assert!(table.contains("\nbroken: runs/broken/config.json is not valid JSON"), "{table}");

    let runs = listed(&place);
    let of = |key: &str| -> Vec<&Value> { runs.iter().map(|run| &run[key]).collect() };
    assert_eq!(of("folder"), ["runs/broken", "runs/group/b", "runs/a"]);
    assert_eq!(of("state"), ["failed", "resumable", "finished"]);
    assert_eq!(of("step"), [0, 3, 10]);
    assert_eq!(of("epochs"), [&Value::Null, &json!(2), &json!(2)]);
    assert_eq!(of("differences"), [&json!({}), &json!({"train.seed": 2}), &json!({"train.seed": 1})]);
    let lines = place.metrics("runs/a");
    let scores =
        lines.iter().filter(|line| line["stage"] == "validation").map(|line| line["mean_iou"].as_f64().unwrap());
    assert_eq!(runs[2]["best"]["score"].as_f64(), scores.reduce(f64::max));
    let model = place.last("runs/a", "model.safetensors").len() as u64;
    assert!(runs[2]["bytes"].as_u64() > Some(model), "{runs:?}");
    assert!(!place.path("runs/a/lock").exists(), "looking makes no file");

    let lock = File::open(place.path("runs/group/b/lock")).unwrap();
    lock.lock().unwrap();
    assert_eq!(listed(&place)[1]["state"], "running");
    drop(lock);
    assert_eq!(listed(&place)[1]["state"], "resumable");
    let one = place.app("runs runs/group").ok().stdout;
    assert!(one.lines().count() == 2 && one.lines().nth(1).unwrap().starts_with("b "), "{one}");
}

#[test]
fn without_runs_it_says_what_to_do() {
    let place = Place::new();
    let says = "No runs in runs: train one (app train), or name another folder";
    assert!(place.app("runs").ok().stdout.starts_with(says));
    fs::create_dir(place.path("runs")).unwrap();
    assert!(place.app("runs").ok().stdout.starts_with(says));
    assert_eq!(place.app("runs --json").ok().stdout, "[]\n");
    place.app("runs nowhere").refused(2, "nowhere is not there: name a folder that holds runs");
    place.app("runs tiny.json").refused(2, "tiny.json is no folder");
}
