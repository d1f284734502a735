//! Conditions for resuming a run: one process at a time, with its own data and configuration, or with allowed changes.

use super::life::{Life, assert_same, newest_step};
use super::support::{Place, python, root, skip};
use serde_json::Value;
use std::fs;
use std::process::Output;

#[test]
fn a_second_process_is_refused_until_the_first_is_dead() {
    let place = Place::new();
    let long = "train --config tiny.json --run run --set train.epochs=100000";
    let mut first = Life::start(&place, long);
    assert!(first.until_said("Epoch 1/100000", 1));
    let says = format!("run is being trained by process {} on ", first.pid());
    for arguments in [long, "train --run run", &format!("{long} --resume never")] {
        let refused = place.app(arguments).refused(1, &says);
        assert!(refused.stderr.contains("wait for its end, or name another folder with --run"), "{}", refused.stderr);
    }
    assert!(!place.path("run.1").exists(), "nothing is moved aside from under a run that lives");
    let checkpoint = format!("run/checkpoints/step-{:010}", newest_step(&place, "run"));
    place.app(&format!("train --resume {checkpoint}")).refused(1, &says);
    assert!(!first.is_over());
    place.train("--run other").ok();
    // Reading it is allowed.
    place.app("validate --run run").ok();

    first.kill();
    let step = newest_step(&place, "run") + 1;
    let next = place.app(&format!("{long} --until-step {step}"));
    next.refused(75, &format!("Stopped at step {step}."));
}

#[test]
fn another_learning_rate_is_asked_about_and_passes_by_key_or_by_section() {
    let place = Place::new();
    place.train("").ok();
    let config =
        || -> Value { serde_json::from_slice(&fs::read(place.path("runs/tiny/config.json")).unwrap()).unwrap() };
    let other = "--set train.epochs=3 --set optimizer.learning_rate=0.01";
    let says = "optimizer.learning_rate: 0.001 -> 0.01 (if it is meant: --allow optimizer.learning_rate)";
    place.train(other).refused(2, says);
    place.train(&format!("{other} --allow schedule")).refused(2, says);
    assert_eq!(config()["optimizer"]["learning_rate"], 0.001);
    let passed = place.train(&format!("{other} --allow optimizer.learning_rate")).ok();
    for part in ["Allowed: optimizer.learning_rate: 0.001 -> 0.01", "Changed (safe): train.epochs: 2 -> 3"] {
        assert!(passed.stderr.contains(part), "{part} is not in\n{}", passed.stderr);
    }
    assert_eq!(config()["optimizer"]["learning_rate"], 0.01);
    assert_eq!(place.metrics("runs/tiny").last().unwrap()["learning_rate"], 0.01);
    // The change is the run's own from now on: it needs no second mention.
    place.app("train --run runs/tiny --set train.epochs=4").ok();
    assert_eq!(place.metrics("runs/tiny").last().unwrap()["learning_rate"], 0.01);
    place.train("--set train.epochs=5 --set optimizer.learning_rate=0.02 --allow optimizer").ok();
}

#[test]
fn what_would_mean_something_else_is_refused_whatever_is_allowed() {
    let place = Place::new();
    place.train("").ok();
    let wider = "--set model.width=8 --set train.epochs=3";
    place.train(wider).refused(2, "model.width: 4 -> 8 (the weights would not fit");
    place.train(&format!("{wider} --allow model.width")).refused(2, "--allow model.width: this cannot be allowed");
    place.train(&format!("{wider} --allow model")).refused(2, "model.width: 4 -> 8");
    place.train("--allow optimizer.lr").refused(2, "--allow optimizer.lr: there is no such key");
    place.train("--allow nothing").refused(2, "--allow nothing: there is no such key");
    assert_eq!(newest_step(&place, "runs/tiny"), 10);
    let harmless = "--set train.epochs=3 --set data.loader.workers=0 --set checkpoint.keep_last=1 \
                    --set summary.per_step=true --set checkpoint.every_steps=2";
    let passed = place.train(harmless).ok();
    for key in ["train.epochs: 2 -> 3", "data.loader.workers: 2 -> 0", "checkpoint.keep_last: 3 -> 1"] {
        assert!(passed.stderr.contains(&format!("Changed (safe): {key}")), "{key} is not in\n{}", passed.stderr);
    }
}

/// Draws a picture and its mask; pictures of different `grain` have files of different sizes.
fn draw(place: &Place, name: &str, grain: u32) {
    let picture = image::RgbImage::from_fn(20, 20, |x, y| image::Rgb([(x * grain) as u8, (y * grain) as u8, 90]));
    picture.save(place.path(&format!("pets/images/{name}.jpg"))).unwrap();
    let mask = image::GrayImage::from_fn(20, 20, |x, _| image::Luma([1 + (x % 3) as u8]));
    mask.save(place.path(&format!("pets/annotations/trimaps/{name}.png"))).unwrap();
}

/// Makes a folder in the layout of Oxford-IIIT Pet, and a configuration that trains on it.
fn pets() -> Place {
    let place = Place::new();
    for folder in ["pets/images", "pets/annotations/trimaps"] {
        fs::create_dir_all(place.path(folder)).unwrap();
    }
    for (list, names) in [("trainval", ["a_1", "a_2", "b_1", "b_2"]), ("test", ["c_1", "c_2", "d_1", "d_2"])] {
        names.iter().for_each(|name| draw(&place, name, 3));
        let lines: String = names.iter().map(|name| format!("{name} 1 1 1\n")).collect();
        fs::write(place.path(&format!("pets/annotations/{list}.txt")), lines).unwrap();
    }
    let config = r#"{
        "data": {"kind": "oxford_pets", "root": "pets", "size": [16, 16], "loader": {"batch_size": 2}},
        "model": {"kind": "unet", "width": 4, "depth": 2},
        "train": {"epochs": 1, "threads": 1, "device": "cpu"}
    }"#;
    fs::write(place.path("pets.json"), config).unwrap();
    place
}

#[test]
fn other_data_is_noticed_named_and_may_be_allowed() {
    let place = pets();
    let train = "train --config pets.json --set train.epochs";
    place.app(&format!("{train}=1")).ok();
    fs::rename(place.path("pets"), place.path("moved")).unwrap();
    place.app(&format!("{train}=2 --set data.root=moved")).ok();
    fs::rename(place.path("moved"), place.path("pets")).unwrap();

    draw(&place, "a_2", 23);
    let refused = place.app(&format!("{train}=3")).refused(2, "runs/pets/checkpoints/step-0000000004 was trained with");
    assert!(refused.stderr.contains("data.train: 4 samples, "), "{}", refused.stderr);
    assert!(refused.stderr.contains("(if it is meant: --allow data.train)"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("data.validation"), "{}", refused.stderr);
    place.app(&format!("{train}=3 --allow data.validation")).refused(2, "--allow data.train");
    let passed = place.app(&format!("{train}=3 --allow data.train")).ok();
    assert!(passed.stderr.contains("Allowed: data.train: 4 samples, "), "{}", passed.stderr);
    // From now on these are the run's data.
    place.app(&format!("{train}=4")).ok();

    fs::write(place.path("pets/annotations/test.txt"), "c_1 1 1 1\n").unwrap();
    place.app(&format!("{train}=5")).refused(2, "data.validation: 4 samples, ");
    place.app(&format!("{train}=5 --allow data")).ok();
}

#[test]
fn data_that_is_gone_leaves_the_old_run_where_it_is() {
    let place = pets();
    place.app("train --config pets.json").ok();
    let before = fs::read(place.path("runs/pets/metrics.jsonl")).unwrap();
    fs::rename(place.path("pets"), place.path("moved")).unwrap();
    place.app("train --config pets.json --resume never").refused(1, "pets");
    assert!(!place.path("runs/pets.1").exists());
    assert_eq!(fs::read(place.path("runs/pets/metrics.jsonl")).unwrap(), before);
    fs::rename(place.path("moved"), place.path("pets")).unwrap();
    place.app("train --config pets.json --resume never").ok();
    assert_same(&place, "runs/pets", "runs/pets.1");
}

#[test]
fn after_a_resume_within_an_epoch_no_point_is_missing_or_there_twice() {
    let place = Place::new();
    let options = "--set summary.per_step=true --set checkpoint.every_steps=3 --set checkpoint.keep_last=100";
    place.train(&format!("--run straight {options}")).ok();
    place.train(&format!("--run run {options} --until-step 4")).refused(75, "Stopped at step 4.");
    // It resumes within the epoch, and goes back to within one: steps 7 to 10 were logged and come again.
    place.train(&format!("--run run {options}")).ok();
    place.train(&format!("--run run {options} --resume run/checkpoints/step-0000000006")).ok();
    assert_same(&place, "straight", "run");
    let lines = place.metrics("run");
    let of = |stage: &str| lines.iter().filter(|line| line["stage"] == stage).cloned().collect::<Vec<Value>>();
    let steps: Vec<u64> = of("step").iter().map(|line| line["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, (1..=10).collect::<Vec<_>>());

    let Some(mut python) = python() else { return skip("no Python packages: run scripts/python") };
    let Output { status, stdout, stderr } =
        python.arg(root().join("tests/reference/read_events.py")).arg(place.path("run/logs")).output().unwrap();
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    let read: Value = serde_json::from_slice(&stdout).unwrap();
    for (folder, stage, tag, at) in [
        ("train/steps", "step", "step/loss", "step"),
        ("train", "train", "loss", "epoch"),
        ("validation", "validation", "loss", "epoch"),
    ] {
        let expected: Vec<Value> = of(stage)
            .iter()
            .map(|line| serde_json::json!([line[at], f64::from(line["loss"].as_f64().unwrap() as f32)]))
            .collect();
        assert_eq!(read[folder][tag].as_array().unwrap(), &expected, "{folder} {tag}");
    }
}
