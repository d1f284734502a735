//! A checkpoint named on the command line is used with its own classes, size, normalisation and data.

use super::support::{Place, Ran};
use image::{GrayImage, Luma, Rgb, RgbImage};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;

/// Writes twelve photographs of 16×16 whose left half is class 1, with a patch of class 2.
fn data(place: &Place, folder: &str) {
    for part in ["images", "masks"] {
        fs::create_dir_all(place.path(&format!("{folder}/{part}"))).unwrap();
    }
    for number in 0..12u32 {
        let class = |x: u32, y: u32| if x < 8 { 1 } else { u8::from((x + number) % 16 > 11 && y > 8) * 2 };
        let photograph = RgbImage::from_fn(16, 16, |x, y| match class(x, y) {
            1 => Rgb([200, 40, (number * 9) as u8]),
            2 => Rgb([20, 220, 90]),
            _ => Rgb([30, 30, 160]),
        });
        photograph.save(place.path(&format!("{folder}/images/{number:02}.png"))).unwrap();
        let mask = GrayImage::from_fn(16, 16, |x, y| Luma([class(x, y)]));
        mask.save(place.path(&format!("{folder}/masks/{number:02}.png"))).unwrap();
    }
}

/// Trains two runs on the same photographs, `runs/new` last. They differ in everything that is compared here.
fn runs(place: &Place) -> String {
    data(place, "d");
    let root = place.path("d").display().to_string();
    let config = |classes: [&str; 3], size: u32, mean: f64, std: f64| {
        json!({
            "data": {"kind": "folders", "root": root, "classes": classes, "size": [size, size],
                     "normalize": {"mean": [mean, mean, mean], "std": [std, std, std]}, "loader": {"batch_size": 4}},
            "model": {"kind": "unet", "width": 4, "depth": 2},
            "optimizer": {"learning_rate": 0.02},
            "train": {"epochs": 3, "threads": 1, "device": "cpu"},
            "export": {"at_end": false},
            "summary": {"report": false}
        })
    };
    let old = config(["ground", "wall", "sign"], 16, 0.3, 0.2);
    let mut new = config(["sky", "cat", "tree"], 8, 0.9, 0.05);
    new["train"]["epochs"] = json!(1);
    for (name, config) in [("old", old), ("new", new)] {
        fs::write(place.path(&format!("{name}.json")), config.to_string()).unwrap();
        place.app(&format!("train --config {name}.json")).ok();
    }
    format!("runs/old/checkpoints/{}", place.checkpoints("runs/old").pop().unwrap().file_name().unwrap().display())
}

fn object(ran: Ran) -> Value {
    serde_json::from_str(&ran.ok().stdout).unwrap()
}

/// Returns the scores without the path of the checkpoint, which may be anywhere.
fn scores(ran: Ran) -> Value {
    let mut object = object(ran);
    object.as_object_mut().unwrap().remove("checkpoint").unwrap();
    object
}

#[test]
fn a_checkpoint_that_is_named_by_its_path_needs_nothing_else() {
    let place = Place::new();
    let checkpoint = runs(&place);
    let expected = scores(place.app("validate --run runs/old --json"));
    assert_eq!(expected["classes"][2]["name"], "sign");
    let maps = |folder: &str| {
        let map = |number| fs::read(place.path(&format!("{folder}/{number:02}.png"))).unwrap();
        let classes = fs::read_to_string(place.path(&format!("{folder}/classes.json"))).unwrap();
        ((0..12).map(map).collect::<Vec<_>>(), classes)
    };
    assert_eq!(scores(place.app(&format!("validate --checkpoint {checkpoint} --json"))), expected);
    place.app(&format!("predict --checkpoint {checkpoint} --output by_path d/images")).ok();
    place.app("predict --run runs/old --output by_run d/images").ok();
    assert_eq!(maps("by_path"), maps("by_run"));
    // It is exported as a version of its own run, with its own description.
    assert_eq!(place.app(&format!("export --checkpoint {checkpoint}")).ok().stdout.trim(), "saved_models/old/1");
    let model: Value = serde_json::from_slice(&fs::read(place.path("saved_models/old/1/model.json")).unwrap()).unwrap();
    assert_eq!((&model["classes"][2]["name"], &model["size"][0]), (&json!("sign"), &json!(16)));
    assert_eq!(model["normalize"]["mean"][0], 0.3);
    // Alone and moved, it is used without its run, and under another name if need be.
    fs::create_dir(place.path("passed")).unwrap();
    fs::rename(place.path(&checkpoint), place.path("passed/mine")).unwrap();
    assert_eq!(scores(place.app("validate --checkpoint passed/mine --json")), expected);
    fs::rename(place.path("d"), place.path("elsewhere")).unwrap();
    place.app("validate --checkpoint passed/mine").refused(1, "d/images");
    assert_eq!(scores(place.app("validate --checkpoint passed/mine --set data.root=elsewhere --json")), expected);
    place.app("predict --checkpoint passed/mine --output alone elsewhere/images").ok();
    assert_eq!(maps("alone"), maps("by_run"));
    let export = "export --checkpoint passed/mine --set data.root=elsewhere";
    place.app(export).refused(2, "passed/mine lies in no run, which would give the saved network its name");
    assert!(!place.path("saved_models/passed").exists());
    place.app(&format!("{export} --output saved_models/mine/1")).ok();
    // The saved model knows the new place of the data.
    assert_eq!(scores(place.app("validate --model saved_models/mine/1 --json"))["iou"], expected["iou"]);
}

#[test]
fn a_run_whose_configuration_was_changed_since_is_used_by_its_checkpoints_record() {
    let place = Place::new();
    let checkpoint = runs(&place);
    let validate = "validate --run runs/old --json";
    let expected = object(place.app(validate));
    let best = object(place.app(&format!("{validate} --checkpoint best")));
    let own = fs::read(place.path("runs/old/config.json")).unwrap();
    fs::copy(place.path("runs/new/config.json"), place.path("runs/old/config.json")).unwrap();
    assert_eq!(object(place.app(validate)), expected);
    assert_eq!(object(place.app(&format!("{validate} --checkpoint best"))), best);
    place.app("report --run runs/old --output page.html").ok();
    let page = fs::read_to_string(place.path("page.html")).unwrap();
    assert!(page.contains("sign") && page.contains("Confusion"), "the report of a network has its classes");
    assert_eq!(place.app("export --run runs/old").ok().stdout.trim(), "saved_models/old/1");
    assert_eq!(scores(place.app("validate --model saved_models/old/1 --json"))["iou"], expected["iou"]);
    // The place of the data is no part of a network: the run's configuration has it.
    let moved = String::from_utf8(own).unwrap().replace(&place.path("d").display().to_string(), "moved");
    fs::write(place.path("runs/old/config.json"), moved).unwrap();
    fs::rename(place.path("d"), place.path("moved")).unwrap();
    assert_eq!(object(place.app(validate)), expected);
    // A run, and a checkpoint that is not its own.
    let both = format!("validate --run runs/new --checkpoint {checkpoint}");
    place.app(&both).refused(2, "does not belong to the run in runs/new: leave out --run");
    assert_eq!(object(place.app(&format!("{validate} --checkpoint {checkpoint}"))), expected);
}

#[test]
fn what_is_no_checkpoint_is_said_with_what_it_is() {
    let place = Place::new();
    place.train("--run runs/tiny").ok();
    place.app("export --run runs/tiny").ok();
    fs::create_dir(place.path("empty")).unwrap();
    symlink("loop", place.path("loop")).unwrap();
    let model = format!("{}/model.safetensors", place.checkpoints("runs/tiny")[0].display());
    for (path, says) in [
        ("nowhere", "there is no checkpoint nowhere: name the folder of a checkpoint, such as"),
        ("newest", "there is no checkpoint newest"),
        ("tiny.json", "tiny.json is a file, not a checkpoint"),
        (&model, "is a file, not a checkpoint"),
        ("tiny.json/x", "the checkpoint tiny.json/x cannot be read: Not a directory"),
        ("loop", "the checkpoint loop cannot be read"),
        ("runs/tiny", "runs/tiny is a run, not a checkpoint: name it with --run"),
        ("saved_models/tiny/1", "is a saved network, not a checkpoint: name it with --model"),
        ("runs/tiny/checkpoints", "is no checkpoint, for it has no manifest.json"),
        ("empty", "is no checkpoint, for it has no manifest.json"),
    ] {
        place.app(&format!("validate --checkpoint {path}")).refused(2, says);
        place.app(&format!("train --resume {path} --run other")).refused(2, says);
        fs::write(place.path("a.png"), "").unwrap();
    }
    place.app("predict --checkpoint nowhere --output out tiny.json").refused(2, "there is no checkpoint nowhere");
    place.app("export --checkpoint empty").refused(2, "for it has no manifest.json");
    assert!(!place.path("out").exists() && !place.path("other").exists());
}

#[test]
fn a_warm_start_with_other_classes_or_numbers_is_said() {
    let place = Place::new();
    let checkpoint = runs(&place);
    let train = |run: &str, more: &str| {
        let weights = format!(r#"--set model.weights={{"path":"{checkpoint}"{more}}}"#);
        place.app(&format!("train --config new.json --run {run} {weights}")).ok().stderr
    };
    let said = train("a", "");
    assert!(
        said.contains("was trained for the classes ground, wall, sign, and here they are sky, cat, tree"),
        "{said}"
    );
    assert!(said.contains("with another data.normalize than here"), "{said}");
    let said = train("b", r#","skip_head":true"#);
    assert!(!said.contains("was trained for the classes") && said.contains("another data.normalize"), "{said}");
    let same = format!(r#"train --config old.json --run c --set model.weights={{"path":"{checkpoint}"}}"#);
    let said = place.app(&same).ok().stderr;
    assert!(!said.contains("was trained"), "{said}");
}
