//! Tests that every command reads the runs, data and saved network written at commit 7827b7c (`tests/old`).
//!
//! The expected numbers are that program's (`tests/old/make.py`): exact on the same kind of processor, up to rounding
//! elsewhere.

use super::support::{Place, root};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

static EXPECTED: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_slice(&fs::read(root().join("tests/old/expected.json")).unwrap()).unwrap());

/// Tolerance of losses and scores where the processor rounds differently: a pixel or two of a network trained for a
/// second.
const ROUNDING: f64 = 0.01;

/// Makes a place with the old runs, data and saved network in it.
fn old() -> Place {
    fn copy(from: &Path, to: &Path) {
        if from.is_dir() {
            fs::create_dir_all(to).unwrap();
            fs::read_dir(from).unwrap().map(|entry| entry.unwrap()).for_each(|entry| {
                copy(&entry.path(), &to.join(entry.file_name()));
            });
        } else {
            fs::copy(from, to).unwrap();
        }
    }
    let place = Place::new();
    copy(&root().join("tests/old"), &place.path(""));
    place
}

/// Returns true if this is the kind of processor that made the numbers: libtorch's depend on it.
fn same_processor() -> bool {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let of = |key: &str| {
        let line = text.lines().find(|line| line.split(':').next().is_some_and(|name| name.trim() == key));
        line.and_then(|line| line.split_once(": ")).map_or("", |(_, value)| value.trim())
    };
    let chosen = ["avx", "amx", "fma", "f16c", "sse"];
    let mut features: Vec<&str> =
        of("flags").split(' ').filter(|flag| chosen.iter().any(|start| flag.starts_with(start))).collect();
    features.sort_unstable();
    EXPECTED["processor"] == format!("{} {}", of("model name"), features.join(" "))
        && std::env::var_os("ATEN_CPU_CAPABILITY").is_none()
}

/// Asserts that everything recorded is found again; more may be there.
fn assert_found(found: &Value, recorded: &Value, at: &str) {
    assert_near(found, recorded, if same_processor() { 0.0 } else { ROUNDING }, at);
}

/// Like [`assert_found`], for a saved network. 7827b7c ran its `model.pt`, with BatchNorm folded into the weights.
/// Today the network is rebuilt with the weights of `model.safetensors`, and rounds as the run's network does.
fn assert_saved(found: &Value, recorded: &Value, at: &str) {
    assert_near(found, recorded, if same_processor() { 1e-6 } else { ROUNDING }, at);
}

fn assert_near(found: &Value, recorded: &Value, rounding: f64, at: &str) {
    match (found, recorded) {
        (_, Value::Object(recorded)) => {
            recorded.iter().for_each(|(key, value)| assert_near(&found[key], value, rounding, &format!("{at}.{key}")));
        }
        (Value::Array(found), Value::Array(recorded)) => {
            assert_eq!(found.len(), recorded.len(), "{at}");
            let pairs = found.iter().zip(recorded).enumerate();
            pairs.for_each(|(i, (found, recorded))| assert_near(found, recorded, rounding, &format!("{at}[{i}]")));
        }
        (Value::Number(a), Value::Number(b)) if rounding > 0.0 => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            assert!((a - b).abs() <= rounding * b.abs().max(1.0), "{at}: {a} instead of {b}");
        }
        _ => assert_eq!(found, recorded, "{at}"),
    }
}

/// Asserts that the run ended as it did with the old program.
fn assert_ended(place: &Place, run: &str, as_run: &str) {
    let recorded = &EXPECTED["ends"][as_run];
    assert_found(&place.metrics(run).into(), &recorded["metrics"], &format!("{run}: metrics"));
    let manifest: Value = serde_json::from_slice(&place.last(run, "manifest.json")).unwrap();
    for key in ["progress", "scores"] {
        assert_found(&manifest[key], &recorded["checkpoint"][key], &format!("{run}: {key}"));
    }
    if same_processor() {
        assert_found(&manifest["files"], &recorded["checkpoint"]["files"], &format!("{run}: files"));
    }
}

#[test]
fn a_run_that_was_stopped_within_an_epoch_ends_as_it_would_have() {
    let place = old();
    let from = "runs/stopped/checkpoints/step-0000000007";
    // By the command that began it, by the run alone, and from the checkpoint into a folder of its own.
    place.app(&format!("train --run other --resume {from}")).ok();
    let last = EXPECTED["ends"]["stopped"]["metrics"].as_array().unwrap().last().unwrap();
    assert_found(place.metrics("other").last().unwrap(), last, "the last line");
    let ran = place.app("train --config stopped.json").ok();
    assert!(ran.stderr.contains(&format!("Continuing from {from} (1 of 2 epochs done)")), "{}", ran.stderr);
    assert_ended(&place, "runs/stopped", "stopped");
    for file in ["model", "optimizer", "average", "metric", "generator"].map(|state| format!("{state}.safetensors")) {
        assert!(place.last("runs/stopped", &file) == place.last("other", &file), "{file}");
    }
    let again = old();
    again.app("train --run runs/stopped").ok();
    assert_ended(&again, "runs/stopped", "stopped");
}

#[test]
fn a_finished_run_is_finished_and_trains_longer() {
    let place = old();
    let before = place.metrics("runs/finished");
    let again = place.app("train --config finished.json").ok();
    assert!(again.stderr.contains("runs/finished is finished: 2 epochs."), "{}", again.stderr);
    assert!(!again.stderr.contains("WARN") && !again.stderr.contains("another configuration"), "{}", again.stderr);
    assert_eq!(place.metrics("runs/finished"), before);
    place.app("train --run runs/finished --set train.epochs=3").ok();
    assert_ended(&place, "runs/finished", "finished");
}

#[test]
fn networks_of_runs_and_saved_ones_score_what_they_scored() {
    let place = old();
    for (which, recorded) in EXPECTED["validate"].as_object().unwrap() {
        let found = place.app(&format!("validate {which} --json")).ok();
        let assert = if which.starts_with("--model") { assert_saved } else { assert_found };
        assert(&serde_json::from_str(&found.stdout).unwrap(), recorded, which);
    }
    let best = place.app("validate --run runs/finished --checkpoint best --json").ok();
    assert_found(&serde_json::from_str(&best.stdout).unwrap(), &EXPECTED["validate"]["--run runs/finished"], "best");
}

#[test]
fn predictions_are_what_they_were() {
    let place = old();
    let read = |path: &str| image::open(place.path(path)).unwrap().into_luma8();
    place.app("predict --run runs/stopped --output out data/images/00.png").ok();
    let (found, recorded) = (read("out/00.png"), read("predicted.png"));
    assert_eq!(found.dimensions(), recorded.dimensions());
    let other = found.pixels().zip(recorded.pixels()).filter(|(found, recorded)| found != recorded).count();
    assert!(other <= if same_processor() { 0 } else { 5 }, "{other} of 256 pixels are others");
    place.app("predict --model saved_models/finished/1 --tile 32 --output tiles data/images/00.png").ok();
    assert_eq!(read("tiles/00.png").dimensions(), (16, 16));
}

#[test]
fn the_old_saved_network_opens_in_other_programs() {
    let place = old();
    let folder = "saved_models/finished/1";
    place.app(&format!("predict --model {folder} --output out data/images")).ok();
    for removed in [None, Some("model.safetensors")] {
        if let Some(file) = removed {
            // The weights are not recorded either, so model.pt is read.
            let path = place.path(&format!("{folder}/model.json"));
            let mut description: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            description["files"].as_object_mut().unwrap().remove(file);
            fs::write(&path, description.to_string()).unwrap();
            fs::remove_file(place.path(&format!("{folder}/{file}"))).unwrap();
        }
        let model = saved::Model::open_on(place.path(folder), tch::Device::Cpu).unwrap();
        let names: Vec<&str> = model.classes().iter().map(|class| class.name.as_str()).collect();
        assert_eq!(names, ["background", "circle", "square", "triangle"]);
        for number in 0..12 {
            let found = model.predict(place.path(&format!("data/images/{number:02}.png"))).unwrap();
            let map = image::open(place.path(&format!("out/{number:02}.png"))).unwrap().into_luma8();
            let other = found.class_map().iter().zip(map.as_raw()).filter(|(found, map)| found != map).count();
            // In model.pt BatchNorm is folded into the weights, which rounds in another way.
            assert!(other <= if removed.is_none() { 0 } else { 5 }, "{other} of 256 pixels of {number} are others");
        }
    }
}

#[test]
fn an_old_run_is_exported_reported_listed_and_replayed() {
    let place = old();
    let exported = place.app("export --run runs/finished").ok().stdout;
    assert_eq!(exported.trim(), "saved_models/finished/2");
    let description = |version: u32| -> Value {
        let path = place.path(&format!("saved_models/finished/{version}/model.json"));
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    };
    let (old, new) = (description(1), description(2));
    for key in ["format", "classes", "input", "output", "size", "resize", "normalize", "scores"] {
        assert_found(&new[key], &old[key], key);
    }
    let scores = place.app("validate --model saved_models/finished/2 --json").ok().stdout;
    let mut recorded = EXPECTED["validate"]["--model saved_models/finished/1"].clone();
    recorded.as_object_mut().unwrap().remove("checkpoint");
    assert_saved(&serde_json::from_str(&scores).unwrap(), &recorded, "the network saved today");

    place.app("report --run runs/finished --compare runs/stopped").ok();
    assert!(fs::read_to_string(place.path("runs/finished/report.html")).unwrap().contains("step-0000000010"));

    let runs: Value = serde_json::from_str(&place.app("runs --json").ok().stdout).unwrap();
    let mut stand: Vec<(&str, &str)> = runs
        .as_array()
        .unwrap()
        .iter()
        .map(|run| (run["name"].as_str().unwrap(), run["state"].as_str().unwrap()))
        .collect();
    stand.sort_unstable();
    assert_eq!(stand, [("broken", "failed"), ("finished", "finished"), ("stopped", "resumable")]);

    let replayed = place.app("train --replay runs/broken/rejected/step-0000000002").ok().stdout;
    assert_eq!(Value::from_iter(replayed.lines()), EXPECTED["replay"]);
}

#[test]
fn a_run_of_today_differs_from_an_old_one_only_in_what_it_was_told() {
    let place = old();
    fs::remove_dir_all(place.path("runs/stopped")).unwrap();
    fs::remove_dir_all(place.path("runs/broken")).unwrap();
    fs::copy(place.path("finished.json"), place.path("today.json")).unwrap();
    place.app("train --config today.json --set train.seed=1").ok();
    let runs: Value = serde_json::from_str(&place.app("runs --json").ok().stdout).unwrap();
    for run in runs.as_array().unwrap() {
        let differs = run["differences"].as_object().unwrap();
        assert!(differs.contains_key("train.seed") && !differs.contains_key("format"), "{run}");
    }
}
