//! `app data`: checks, statistics and previews of data before training.

use super::support::Place;
use image::{GrayImage, Luma, Rgb, RgbImage};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Writes a small data set in the layout of the pets: three samples to train on, two to validate with.
pub fn small(root: &Path) {
    fs::create_dir_all(root.join("images")).unwrap();
    fs::create_dir_all(root.join("annotations/trimaps")).unwrap();
    for (list, names) in [("trainval", ["a", "b", "c"].as_slice()), ("test", &["d", "e"])] {
        let lines: String = names.iter().map(|name| format!("{name} 1 1 1\n")).collect();
        fs::write(root.join("annotations").join(list).with_extension("txt"), lines).unwrap();
        for name in names {
            let seed = u32::from(name.as_bytes()[0]);
            let image = RgbImage::from_fn(40, 30, |x, y| {
                let wave = |turn: u32| ((x * (seed % 5 + turn) * y / 7 + seed * turn * y) % 256) as u8;
                Rgb([wave(1), wave(2), wave(3)])
            });
            image.save(root.join("images").join(format!("{name}.jpg"))).unwrap();
            let mask = GrayImage::from_fn(40, 30, |x, _| Luma([1 + (x / 14) as u8]));
            mask.save(root.join("annotations/trimaps").join(format!("{name}.png"))).unwrap();
        }
    }
}

const PETS: &str = r#"{"data": {"kind": "oxford_pets", "root": "pets", "size": [16, 24]}, "train": {"device": "cpu"}}"#;

fn place() -> Place {
    let place = Place::new();
    small(&place.path("pets"));
    fs::write(place.path("pets.json"), PETS).unwrap();
    place
}

#[test]
fn a_sound_data_set_passes_the_check() {
    let place = place();
    let ran = place.app("data check --config pets.json").ok();
    assert!(ran.stdout.contains("Nothing odd was found.") && ran.stdout.contains("train: 3 samples"), "{}", ran.stdout);
    assert!(ran.stderr.contains("Looked at 5 samples"), "{}", ran.stderr);
    assert!(place.app("data check").ok().stdout.contains("Nothing odd was found."), "the generated data");
}

#[test]
fn what_is_wrong_is_named_and_ends_with_a_status() {
    let place = place();
    fs::write(place.path("pets/images/b.jpg"), "no picture").unwrap();
    fs::copy(place.path("pets/images/a.jpg"), place.path("pets/images/d.jpg")).unwrap();
    let ran = place.app("data check --config pets.json");
    assert_eq!(ran.status, 1, "{}", ran.stdout);
    for line in ["error   train/b: ", "error   train/a, validation/d: are the same picture", "2 errors and 0 warnings"]
    {
        assert!(ran.stdout.contains(line), "{line} is not in\n{}", ran.stdout);
    }
    let ran = place.app("data check --config pets.json --json");
    assert_eq!((ran.status, ran.stdout.lines().count()), (1, 1));
    let object: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&object["errors"], &object["warnings"]), (&2.into(), &0.into()));
    assert_eq!(object["findings"][0]["kind"], "unreadable");
    assert_eq!(object["findings"][0]["files"][0], "pets/images/b.jpg");
    assert_eq!(object["splits"][0]["classes"][1]["name"], "background");
    place.app("data check --config none.json").refused(2, "none.json");
    place.app("data check --config pets.json --set data.root=nowhere").refused(1, "nowhere");
}

#[test]
fn a_batch_whose_only_sample_is_broken_teaches_nothing_and_counts_for_nothing() {
    let place = place();
    let photograph = fs::read(place.path("pets/images/b.jpg")).unwrap();
    fs::write(place.path("pets/images/b.jpg"), &photograph[..photograph.len() / 2]).unwrap();
    let small = "--set model.width=2 --set model.depth=1 --set train.epochs=2 --set data.loader.batch_size=1";
    place.app(&format!("train --config pets.json --run strict {small}")).refused(1, "b.jpg");
    let ran = place.app(&format!("train --config pets.json --run lax {small} --set data.loader.max_skipped=1")).ok();
    assert!(ran.stderr.contains("1 samples could not be loaded and were left out: b"), "{}", ran.stderr);
    let lines = fs::read_to_string(place.path("lax/metrics.jsonl")).unwrap();
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(line["loss"].as_f64().unwrap().is_finite(), "{line}");
        // Two samples of 16x24 pixels in training, two in validation.
        assert_eq!(line["pixels"], 2.0 * 16.0 * 24.0, "{line}");
    }
    assert_eq!(lines.lines().count(), 4);
}

#[test]
fn what_stats_prints_can_be_pasted() {
    let place = place();
    let ran = place.app("data stats --config pets.json").ok();
    let pasted: Vec<&str> = ran.stdout.lines().filter(|line| line.starts_with("  \"")).collect();
    let [weights, normalize] = [pasted[0], pasted[1]].map(|line| format!("{{{line}}}"));
    let object = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let mut config: Value = object(PETS);
    config["loss"] = object(&weights)["loss"].clone();
    config["data"]["normalize"] = object(&normalize)["data"]["normalize"].clone();
    config["model"] = object(r#"{"kind": "unet", "width": 2, "depth": 1}"#);
    config["train"]["epochs"] = 1.into();
    fs::write(place.path("pasted.json"), config.to_string()).unwrap();
    place.app("train --config pasted.json").ok();
    let json: Value = serde_json::from_str(&place.app("data stats --config pets.json --json").ok().stdout).unwrap();
    assert_eq!(json["splits"][0]["mean"].as_array().unwrap().len(), 3);
    assert_eq!(json["splits"][1]["samples"], 2);
}

#[test]
fn a_preview_shows_each_epoch_as_the_network_will_see_it() {
    let place = place();
    let normalize = r#"{"mean":[0.5,0.4,0.3],"std":[0.2,0.3,0.4]}"#;
    for (output, more) in [("plain", ""), ("normalised", &*format!("--set data.normalize={normalize}"))] {
        place.app(&format!("data preview --config pets.json --output {output} --epochs 2 {more}")).ok();
        assert_eq!(fs::read_dir(place.path(output)).unwrap().count(), 3);
    }
    let sheet = |name: &str| image::open(place.path(name)).unwrap().into_rgb8();
    let [first, second] = ["plain/train-epoch-1.png", "plain/train-epoch-2.png"].map(sheet);
    assert_ne!(first, second, "another order every epoch");
    // Three samples of 24x16 pixels: two across, two down, each with its overlay below, 4 pixels between them.
    assert_eq!(first.dimensions(), (2 * 28, 2 * (2 * 16 + 8)));
    let drawn = sheet("plain/validation.png");
    let overlay = |x: u32| *drawn.get_pixel(x, 16);
    assert_ne!(overlay(2), *drawn.get_pixel(2, 0), "the mask is drawn over");
    // The sheet looks the same, whatever the data is normalised with.
    let [plain, normalised] = ["plain/validation.png", "normalised/validation.png"].map(sheet);
    let worst = plain.iter().zip(normalised.iter()).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(worst <= Some(1), "{worst:?}");
}

/// Writes folders of four pictures and their masks, which are 0 on the left and 255 on the right, and a configuration
/// for them.
fn halves(place: &Place) {
    for folder in ["halves/images", "halves/masks"] {
        fs::create_dir_all(place.path(folder)).unwrap();
    }
    for name in ["a", "b", "c", "d"] {
        let seed = u32::from(name.as_bytes()[0]);
        let image = RgbImage::from_fn(16, 16, |x, y| Rgb([if x < 8 { 250 } else { 5 }, (x * y * seed) as u8, 0]));
        image.save(place.path(&format!("halves/images/{name}.png"))).unwrap();
        let mask = GrayImage::from_fn(16, 16, |x, _| Luma([if x < 8 { 0 } else { 255 }]));
        mask.save(place.path(&format!("halves/masks/{name}.png"))).unwrap();
    }
    let config = r##"{
        "data": {"kind": "folders", "root": "halves", "size": [16, 16], "split": {"fold": "1/2"},
                 "classes": ["back", {"name": "front", "color": "#0000ff"}]},
        "model": {"kind": "unet", "width": 2, "depth": 1}, "train": {"device": "cpu", "epochs": 1}
    }"##;
    fs::write(place.path("halves.json"), config).unwrap();
}

const MAPPED: &str = r#"--set data.labels.map={"0":0,"255":1}"#;

#[test]
fn masks_of_0_and_255_are_never_taken_for_background_and_nothing() {
    let place = Place::new();
    halves(&place);
    let says = "data.labels: says nothing of 255";
    place.app("train --config halves.json").refused(2, says);
    let ran = place.app("data check --config halves.json");
    assert_eq!(ran.status, 1);
    assert!(ran.stdout.contains(says) && ran.stdout.contains(r#"{"0": 0, "255": 1}"#), "{}", ran.stdout);
    assert!(!place.app(&format!("data check --config halves.json {MAPPED}")).ok().stdout.contains(says));
    // An explicit `ignore` is accepted.
    place.app("train --config halves.json --set data.labels.ignore=[255]").ok();
}

#[test]
fn a_class_has_its_colour_wherever_it_is_drawn_and_may_get_another() {
    let place = Place::new();
    halves(&place);
    place.app(&format!("train --config halves.json --run runs/r {MAPPED}")).ok();
    place.app(&format!("data preview --config halves.json --output drawn --epochs 1 {MAPPED}")).ok();
    let drawn = image::open(place.path("drawn/validation.png")).unwrap().into_rgb8();
    assert_eq!(drawn.get_pixel(8, 16).0, [0, 0, 255], "the border of the class is drawn in full colour");
    let classes = |output: &str| -> Value {
        place.app(&format!("predict --run runs/r --also overlay --output {output} halves/images/a.png")).ok();
        serde_json::from_slice(&fs::read(place.path(&format!("{output}/classes.json"))).unwrap()).unwrap()
    };
    let front = |color: &str| serde_json::json!({ "id": 1, "name": "front", "color": color });
    assert_eq!(classes("first")[1], front("#0000ff"));
    let scores: Value = serde_json::from_str(&place.app("validate --run runs/r --json").ok().stdout).unwrap();
    assert_eq!(scores["classes"], classes("first"));

    // Another colour keeps the weights valid, another class does not.
    let config = fs::read_to_string(place.path("halves.json")).unwrap();
    let again = |config: String| {
        fs::write(place.path("again.json"), config).unwrap();
        place.app(&format!("train --config again.json --run runs/r --resume auto --set train.epochs=2 {MAPPED}"))
    };
    again(config.replace("front", "other")).refused(2, r#"data.classes: ["back","front"] -> ["back","other"]"#);
    again(config.replace("#0000ff", "#00ff00")).ok();
    assert_eq!(classes("second")[1], front("#00ff00"));
    let [map, overlay] = ["second/a.png", "second/a_overlay.png"].map(|file| image::open(place.path(file)).unwrap());
    let (map, overlay) = (map.into_luma8(), overlay.into_rgb8());
    let edge = map.enumerate_pixels().find(|(x, y, id)| id.0 == [1] && *x > 0 && map.get_pixel(x - 1, *y).0 == [0]);
    if let Some((x, y, _)) = edge {
        assert_eq!(overlay.get_pixel(x, y).0, [0, 255, 0]);
    }
}
