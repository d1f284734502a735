use super::*;
use serde_json::json;
use std::fs;

fn folder(config: &str, lines: &[Value]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.json"), config).unwrap();
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    fs::write(folder.path().join("metrics.jsonl"), lines).unwrap();
    folder
}

fn line(stage: &str, epoch: u64, time: f64, more: Value) -> Value {
    let mut line = json!({"stage": stage, "epoch": epoch, "step": epoch * 10, "time": time});
    line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    line
}

#[test]
fn a_folder_becomes_a_run() {
    let lines = [
        line("train", 1, 100.0, json!({"loss": 0.5})),
        line("validation", 1, 100.0, json!({"mean_iou": 0.4, "iou/pet": 0.4, "iou/border": null})),
    ];
    let folder = folder(r#"{"train": {"epochs": 1}}"#, &lines);
    let run = Run::read(folder.path()).unwrap();
    assert_eq!(run.status, Status::Finished);
    assert_eq!(run.classes.iter().map(|class| class.name.as_str()).collect::<Vec<_>>(), ["border", "pet"]);
    assert_ne!(run.classes[0].color, run.classes[1].color);
    assert_eq!(run.name, folder.path().file_name().unwrap().to_str().unwrap());
}

#[test]
fn a_run_without_all_its_epochs_has_stopped() {
    let folder = folder(r#"{"train": {"epochs": 2}}"#, &[line("train", 1, 100.0, json!({}))]);
    assert_eq!(Run::read(folder.path()).unwrap().status, Status::Stopped);
}

#[test]
fn a_folder_that_is_no_run_and_a_config_that_is_no_json_are_named() {
    let empty = tempfile::tempdir().unwrap();
    let error = Run::read(empty.path()).unwrap_err().to_string();
    assert!(error.contains("is no run") && error.contains("--run"), "{error}");
    let error = Run::read(folder("{", &[]).path()).unwrap_err().to_string();
    assert!(error.contains("config.json is not valid JSON"), "{error}");
}

#[test]
fn the_best_epoch_is_the_first_of_equals_and_follows_the_mode() {
    let lines: Vec<Value> = [(1, 0.3, 0.9), (2, 0.6, 0.5), (3, 0.6, 0.4), (4, 0.5, 0.7)]
        .map(|(epoch, iou, loss)| line("validation", epoch, 0.0, json!({"mean_iou": iou, "loss": loss})))
        .into();
    let best = Run::read(folder("{}", &lines).path()).unwrap().best().unwrap();
    assert_eq!((best.metric.as_str(), best.score, best.epoch, best.step), ("mean_iou", 0.6, 2, 20));
    let config = r#"{"checkpoint": {"best": "loss", "mode": "min"}}"#;
    let best = Run::read(folder(config, &lines).path()).unwrap().best().unwrap();
    assert_eq!((best.metric.as_str(), best.score, best.epoch), ("loss", 0.4, 3));
    assert_eq!(Run::read(folder("{}", &[]).path()).unwrap().best(), None);
}

#[test]
fn the_duration_is_the_sum_of_the_epochs_where_all_were_timed() {
    let timed = |epoch, time, seconds| line("train", epoch, time, json!({"seconds/epoch": seconds}));
    let of = |lines: &[Value]| Run::read(folder("{}", lines).path()).unwrap().duration();
    assert_eq!(of(&[timed(1, 100.0, 20.0), timed(2, 900.0, 30.0)]), Some((50.0, true)));
    assert_eq!(of(&[line("train", 1, 100.0, json!({})), timed(2, 900.0, 30.0)]), Some((800.0, false)));
    assert_eq!(of(&[]), None);
}

#[test]
fn the_sentence_says_what_the_configuration_names_and_no_more() {
    let config = r#"{"model": {"kind": "unet", "width": 32, "weights": null}, "optimizer": {"rule": {"kind": "adam"},
        "learning_rate": 0.001}, "data": {"kind": "shapes", "size": [96, 128]}}"#;
    let run = Run::read(folder(config, &[]).path()).unwrap();
    assert_eq!(run.sentence(), "unet, width 32; trained with adam, learning rate 0.001; on shapes at 96 × 128 pixels");
    assert_eq!(Run::read(folder("[]", &[]).path()).unwrap().sentence(), "");
}
