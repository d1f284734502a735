//! Rules 1 and 2 of the design: a run is a function of its configuration, however it was interrupted and fed.

use super::support::Place;
use std::fs;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

const FILES: [&str; 4] = ["model.safetensors", "optimizer.safetensors", "metric.safetensors", "generator.safetensors"];

fn assert_same(place: &Place, a: &str, b: &str) {
    assert_eq!(place.metrics(a), place.metrics(b));
    for file in FILES {
        assert!(place.last(a, file) == place.last(b, file), "{file} of {a} and {b} differ");
    }
}

#[test]
fn the_number_of_workers_changes_nothing() {
    let place = Place::new();
    for workers in [0, 1, 4] {
        place.train(&format!("--run w{workers} --set data.loader.workers={workers}")).ok();
    }
    assert_same(&place, "w0", "w1");
    assert_same(&place, "w0", "w4");
}

#[test]
fn another_seed_changes_everything() {
    let place = Place::new();
    place.train("--run a").ok();
    place.train("--run b --set train.seed=1").ok();
    assert_ne!(place.metrics("a"), place.metrics("b"));
    assert!(place.last("a", FILES[0]) != place.last("b", FILES[0]));
}

#[test]
fn a_run_that_stopped_between_epochs_continues_to_the_bit() {
    let place = Place::new();
    // Some groups learn slower from the second epoch on, some start to learn after the run was resumed.
    let late =
        |names, factor, frozen| format!(r#"{{"parameters":"{names}","factor":{factor},"frozen_epochs":{frozen}}}"#);
    let groups = [late("*.bias", 0.5, 1), late("encoder0.*", 1.0, 3)].join(",");
    let options =
        format!("--set optimizer.accumulate=2 --set optimizer.clip_norm=0.5 --set optimizer.groups=[{groups}]");
    place.train(&format!("--run straight --set train.epochs=4 {options}")).ok();
    place.train(&format!("--run stopped {options}")).ok();
    let resumed = place.app("train --run stopped --set train.epochs=4").ok();
    assert!(resumed.stderr.contains("Continuing from stopped/checkpoints/step-0000000010 (2 of 4 epochs done)"));
    assert_same(&place, "straight", "stopped");
}

#[test]
fn a_run_in_f16_learns_and_continues_to_the_bit() {
    let place = Place::new();
    let options = "--set model.precision=fp16 --set model.recompute=true";
    place.train(&format!("--run straight --set train.epochs=4 {options}")).ok();
    place.train(&format!("--run stopped {options}")).ok();
    place.app("train --run stopped --set train.epochs=4").ok();
    assert_same(&place, "straight", "stopped");
    let lines = place.metrics("straight");
    let losses: Vec<f64> =
        lines.iter().filter(|line| line["stage"] == "train").map(|line| line["loss"].as_f64().unwrap()).collect();
    assert!(losses[3] < losses[0], "{losses:?}");
}

#[test]
fn a_killed_run_continues_to_the_bit() {
    let place = Place::new();
    place.train("--run straight --set train.epochs=12").ok();
    let mut killed = place.command("train --config tiny.json --run killed --set train.epochs=12");
    let mut killed = killed.stderr(Stdio::null()).spawn().unwrap();
    let since = Instant::now();
    while !place.path("killed/checkpoints/step-0000000015").exists() {
        assert!(since.elapsed() < Duration::from_secs(60) && killed.try_wait().unwrap().is_none());
        sleep(Duration::from_millis(2));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    place.app("train --run killed").ok();
    assert_same(&place, "straight", "killed");
}

#[test]
fn a_run_that_died_before_its_first_checkpoint_leaves_no_line_behind() {
    let place = Place::new();
    place.train("").ok();
    let straight = place.metrics("runs/tiny");
    fs::remove_dir_all(place.path("runs/tiny/checkpoints")).unwrap();
    place.train("").ok();
    assert_eq!(place.metrics("runs/tiny"), straight);
}

#[test]
fn a_checkpoint_can_be_named_and_later_ones_are_put_aside() {
    let place = Place::new();
    place.train("--run run --set train.epochs=3").ok();
    let straight = place.last("run", FILES[0]);
    let resumed = place.app("train --run run --resume run/checkpoints/step-0000000005").ok();
    assert!(resumed.stderr.contains("(1 of 3 epochs done)"), "{}", resumed.stderr);
    assert!(place.path("run/checkpoints/superseded-step-0000000015").exists());
    assert!(fs::read(place.path("run/checkpoints/step-0000000015").join(FILES[0])).unwrap() == straight);
}

#[test]
fn starting_over_keeps_the_old_run() {
    let place = Place::new();
    place.train("").ok();
    let again = place.train("--resume never").ok();
    assert!(again.stderr.contains("Moved the old run to runs/tiny.1"), "{}", again.stderr);
    assert_same(&place, "runs/tiny", "runs/tiny.1");
}

#[test]
fn a_damaged_checkpoint_is_named_and_the_one_before_it_is_used() {
    let place = Place::new();
    place.train("--set train.epochs=3").ok();
    let newest = place.checkpoints("runs/tiny").pop().unwrap();
    let file = newest.join("optimizer.safetensors");
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    let ran = place.app("train --set train.epochs=3 --run runs/tiny").ok();
    assert!(ran.stderr.contains("Passed over the damaged checkpoint runs/tiny/checkpoints/step-0000000015"));
    assert!(ran.stderr.contains("optimizer.safetensors"), "{}", ran.stderr);
    assert!(ran.stderr.contains("Continuing from runs/tiny/checkpoints/step-0000000010 (2 of 3"), "{}", ran.stderr);
}
