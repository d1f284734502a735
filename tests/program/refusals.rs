//! Rules 6 and 7 of the design: errors are reported early, in words, with the right status, and nothing is lost.

use super::support::Place;
use std::fs;

#[test]
fn wrong_usage_and_configuration_end_with_status_2_before_anything_is_made() {
    let place = Place::new();
    fs::write(place.path("twice.json"), r#"{"train": {"epochs": 1, "epochs": 2}}"#).unwrap();
    for (arguments, says) in [
        ("tarin", "unrecognized subcommand"),
        ("train --epochs 3", "unexpected argument"),
        ("predict --output out", "<PATH>"),
        ("train --config missing.json", "missing.json: No such file"),
        ("train --config twice.json", "twice.json: the key \"epochs\" is there twice"),
        ("train --config tiny.json --set optimizer.lr=1", "optimizer.lr: unknown field `lr`"),
        ("train --config tiny.json --set model.width=0", "model.width: must be from 1 to 1024, is 0"),
        ("train --config tiny.json --set train.device=cuda", "libtorch finds no GPU"),
        ("validate", "no run under runs/ holds a checkpoint"),
        ("validate --run tiny.json", "is a file, not a run folder"),
        ("predict --run nowhere --output out tiny.json", "nowhere"),
    ] {
        if arguments.ends_with("cuda") && tch::Cuda::is_available() {
            continue;
        }
        place.app(arguments).refused(2, says);
    }
    assert!(!place.path("runs").exists() && !place.path("out").exists());
}

#[test]
fn missing_data_is_an_error_that_says_where_it_looked() {
    let place = Place::new();
    place.app("train --set data.kind=oxford_pets").refused(2, "data: missing field `root`");
    fs::write(place.path("pets.json"), r#"{"data": {"kind": "oxford_pets", "root": "nowhere"}}"#).unwrap();
    place.app("train --config pets.json").refused(1, "nowhere");
    assert!(!place.path("runs").exists());
}

#[test]
fn a_wrong_label_ends_the_run_before_the_first_step() {
    let place = Place::new();
    for folder in ["pets/images", "pets/annotations/trimaps"] {
        fs::create_dir_all(place.path(folder)).unwrap();
    }
    for (list, name) in [("trainval", "good_1"), ("test", "bad_1")] {
        fs::write(place.path(&format!("pets/annotations/{list}.txt")), format!("{name} 1 1 1\n")).unwrap();
        image::RgbImage::new(20, 20).save(place.path(&format!("pets/images/{name}.jpg"))).unwrap();
        let label = if name == "bad_1" { 7 } else { 1 };
        let mask = image::GrayImage::from_pixel(20, 20, image::Luma([label]));
        mask.save(place.path(&format!("pets/annotations/trimaps/{name}.png"))).unwrap();
    }
    fs::write(place.path("pets.json"), r#"{"data": {"kind": "oxford_pets", "root": "pets"}}"#).unwrap();
    let ran = place.app("train --config pets.json").refused(1, "bad_1.png");
    assert!(ran.stderr.contains('7') && !place.path("runs").exists(), "{}", ran.stderr);
}

#[test]
fn a_run_goes_on_with_its_own_configuration_only() {
    let place = Place::new();
    place.train("").ok();
    let before = fs::read(place.path("runs/tiny/config.json")).unwrap();
    let refused = place.train("--set model.width=8 --set train.epochs=3");
    let refused = refused.refused(2, "model.width: 4 -> 8");
    assert!(!refused.stderr.contains("train.epochs"), "longer is harmless: {}", refused.stderr);
    assert_eq!(fs::read(place.path("runs/tiny/config.json")).unwrap(), before);
    place.train("--set data.loader.workers=0 --set checkpoint.keep_last=1 --set train.epochs=3").ok();
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run_and_reaches_no_checkpoint() {
    let place = Place::new();
    place.train("").ok();
    let good = place.last("runs/tiny", "model.safetensors");
    let options = "--run nan --set optimizer.rule.kind=sgd --set optimizer.learning_rate=1e30 --set train.epochs=5";
    let ran = place.train(options);
    let ran = ran.refused(1, "the loss or its gradient is not finite");
    for part in ["step ", "learning rate 1e30", "samples: shapes-train-", "gradient norm"] {
        assert!(ran.stderr.contains(part), "{}", ran.stderr);
    }
    assert!(!place.path("nan/checkpoints").exists() || place.checkpoints("nan").is_empty());
    assert!(place.last("runs/tiny", "model.safetensors") == good);
}

#[test]
fn a_run_whose_checkpoints_are_all_damaged_does_not_start_over_by_itself() {
    let place = Place::new();
    place.train("").ok();
    for checkpoint in place.checkpoints("runs/tiny") {
        fs::write(checkpoint.join("manifest.json"), "{}").unwrap();
    }
    place.train("--set train.epochs=3").refused(1, "none of the 2 checkpoints is valid; --resume never starts over");
    place.app("validate").refused(1, "none of the 2 checkpoints is valid");
}
