//! The steps that the README tells users to take.

use super::support::Place;
use serde_json::Value;
use std::fs;

#[test]
fn training_fills_the_run_folder_and_says_one_line_an_epoch() {
    let place = Place::new();
    let ran = place.train("").ok();
    for file in
        ["config.json", "environment.json", "metrics.jsonl", "report.html", "checkpoints/step-0000000010/manifest.json"]
    {
        assert!(place.path("runs/tiny").join(file).is_file(), "{file}");
    }
    for stage in ["train", "validation"] {
        let entries = fs::read_dir(place.path("runs/tiny/logs").join(stage)).unwrap();
        let events = entries.filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().contains("tfevents"));
        assert_eq!(events.count(), 1);
    }
    assert!(ran.stdout.starts_with("loss ") && ran.stdout.contains("\ntriangle "), "{}", ran.stdout);
    let epochs: Vec<&str> = ran.stderr.lines().filter(|line| line.contains("Training acc over epoch: ")).collect();
    assert_eq!(epochs.len(), 2);
    assert!(epochs[1].contains("Epoch 2/2"), "{}", epochs[1]);
    let last: Vec<&str> = ran.stderr.lines().skip(3).collect();
    for (line, part) in last
        .iter()
        .zip(["Saved checkpoint: runs/tiny/checkpoints/step-0000000010", "Wrote the report: runs/tiny/report.html"])
    {
        assert!(line.contains(part), "{line}");
    }
    assert_eq!(last.len(), 2, "{}", ran.stderr);
}

#[test]
fn every_step_is_logged_at_debug_level() {
    let place = Place::new();
    let output = place.command("train --config tiny.json --set train.epochs=1").env("RUST_LOG", "debug").output();
    let log = String::from_utf8(output.unwrap().stderr).unwrap();
    for line in ["Start epoch 1", "Loss at step 5: ", "Training acc over epoch: ", "Saved checkpoint: "] {
        assert!(log.contains(line), "{line} is not in\n{log}");
    }
}

#[test]
fn commands_without_arguments_take_the_built_in_data_and_the_newest_run() {
    let place = Place::new();
    let small =
        "--set data.size=[16,16] --set data.train_samples=8 --set data.validation_samples=4 --set train.epochs=1";
    place.app(&format!("train --set model.width=2 --set model.depth=1 {small}")).ok();
    place.train("--run elsewhere").ok();
    let validated = place.app("validate --json").ok();
    let object: Value = serde_json::from_str(&validated.stdout).unwrap();
    assert!(object["checkpoint"].as_str().unwrap().starts_with("runs/shapes/checkpoints/step-"), "{object}");
    let again = place.app("train").ok();
    assert!(again.stderr.contains("runs/shapes is finished: 1 epochs. To train longer: --set train.epochs=11"));
}

#[test]
fn validate_repeats_the_figures_of_the_last_epoch_exactly() {
    let place = Place::new();
    place.train("").ok();
    let validated = place.app("validate --json").ok();
    assert_eq!(validated.stdout.lines().count(), 1);
    let object: Value = serde_json::from_str(&validated.stdout).unwrap();
    let last = place.metrics("runs/tiny").pop().unwrap();
    assert_eq!(last["stage"], "validation");
    for name in ["loss", "accuracy", "mean_iou", "mean_dice"] {
        assert!(last[name].is_f64());
        assert_eq!(object[name], last[name], "{name}");
    }
    for class in ["background", "circle", "square", "triangle"] {
        assert_eq!(object["iou"][class], last[format!("iou/{class}")], "{class}");
    }
    assert_eq!((&object["samples"], &object["pixels"], &object["epoch"]), (&12.into(), &(12 * 256).into(), &2.into()));
    let table = place.app("validate").ok().stdout;
    assert!(table.contains(&format!("mean_iou         {:.4}", last["mean_iou"].as_f64().unwrap())), "{table}");
}

#[test]
fn the_best_checkpoint_is_kept_and_found() {
    let place = Place::new();
    place.train("--set train.epochs=6 --set checkpoint.keep_last=1 --set optimizer.learning_rate=0.02").ok();
    let validations: Vec<Value> =
        place.metrics("runs/tiny").into_iter().filter(|l| l["stage"] == "validation").collect();
    let iou = |line: &&Value| line["mean_iou"].as_f64().unwrap();
    let best = validations.iter().rev().max_by(|a, b| iou(a).total_cmp(&iou(b))).unwrap();
    let object: Value = serde_json::from_str(&place.app("validate --checkpoint best --json").ok().stdout).unwrap();
    assert_eq!((&object["mean_iou"], &object["epoch"]), (&best["mean_iou"], &best["epoch"]));
    assert_eq!(place.checkpoints("runs/tiny").len(), if best["epoch"] == 6 { 1 } else { 2 });
}
