//! Images are predicted at the training scale of the network, and scored on the labelled pixels.

use super::support::{Place, Ran, python, root};
use image::{GrayImage, Luma, Rgb, RgbImage};
use serde_json::{Value, json};
use std::fs;

/// Draws strips with a bright square each, which is class 1; the rest of the frame is ignored.
fn strips(place: &Place, count: u32, [height, width]: [u32; 2]) {
    for folder in ["d/images", "d/masks"] {
        fs::create_dir_all(place.path(folder)).unwrap();
    }
    for number in 0..count {
        // Sizes differ, so that each needs another factor to the training scale.
        let (height, width) = (height + number % 3, width + 5 * number);
        let left = (number * 13) % (width - 12);
        let within = |x: u32, y: u32| (left..left + 12).contains(&x) && (4..16).contains(&y);
        let picture = RgbImage::from_fn(width, height, |x, y| {
            let noise = (x * 7 + y * 13 + number * 29) % 23;
            Rgb(if within(x, y) { [200, 60 + noise as u8, 50] } else { [60 + noise as u8, 70, 60] })
        });
        let value = |x: u32, y: u32| {
            if y == 0 {
                9
            } else if within(x, y) {
                200
            } else {
                100
            }
        };
        picture.save(place.path(&format!("d/images/{number}.png"))).unwrap();
        let mask = GrayImage::from_fn(width, height, |x, y| Luma([value(x, y)]));
        mask.save(place.path(&format!("d/masks/{number}.png"))).unwrap();
    }
    for (list, first) in [("train", 0), ("validation", 1)] {
        let names: String = (first..count).step_by(2).map(|number| format!("{number}\n")).collect();
        fs::write(place.path(&format!("d/{list}.txt")), names).unwrap();
    }
}

/// Returns the names of the validation samples: every second one.
fn of_validation(place: &Place) -> Vec<String> {
    let names = fs::read_to_string(place.path("d/validation.txt")).unwrap();
    names.lines().map(|name| format!("{name}.png")).collect()
}

fn configure(place: &Place, data: Value) {
    let mut config = json!({
        "data": {"kind": "folders", "root": "d", "classes": ["ground", "square"], "size": [16, 16],
                 "labels": {"map": {"100": 0, "200": 1}, "ignore": [9]}, "split": {"train": "train.txt", "validation": "validation.txt"},
                 "loader": {"batch_size": 3}},
        "model": {"kind": "unet", "width": 4, "depth": 2},
        "train": {"epochs": 2, "threads": 1, "device": "cpu"},
        "summary": {"tensorboard": false, "report": false}, "export": {"at_end": false}
    });
    for (key, value) in data.as_object().unwrap() {
        config["data"][key] = value.clone();
    }
    fs::write(place.path("c.json"), config.to_string()).unwrap();
}

fn object(place: &Place, arguments: &str) -> Value {
    serde_json::from_str(&place.app(arguments).ok().stdout).unwrap()
}

/// Returns the confusion matrix of the class maps in `out` against the masks, over the validation images.
fn recount(place: &Place, out: &str) -> [[u64; 2]; 2] {
    let mut matrix = [[0; 2]; 2];
    for name in of_validation(place) {
        let [map, mask] =
            [out, "d/masks"].map(|folder| image::open(place.path(folder).join(&name)).unwrap().into_luma8());
        assert_eq!(map.dimensions(), mask.dimensions(), "{name}");
        for (predicted, target) in map.pixels().zip(mask.pixels()) {
            match target.0[0] {
                9 => {}
                100 => matrix[0][usize::from(predicted.0[0])] += 1,
                _ => matrix[1][usize::from(predicted.0[0])] += 1,
            }
        }
    }
    matrix
}

#[test]
fn full_scores_are_those_of_the_maps_that_predict_writes() {
    let place = Place::new();
    strips(&place, 10, [20, 34]);
    let crop = json!([{"kind": "random_crop"}]);
    for (case, (data, how, middle)) in [
        (json!({}), "", "all of images stretched to 16 x 16 pixels"),
        (json!({"resize": {"kind": "fit"}}), "--mirror both", "all of images fitted into 16 x 16 pixels"),
        (
            json!({"resize": {"kind": "shorter_side"}, "transforms": crop}),
            "",
            "the middle 16 x 16 pixels of images whose shorter side is 16 pixels",
        ),
        (json!({"resize": {"kind": "shorter_side", "to": 10}}), "", "whose shorter side is 10 pixels"),
        (
            json!({"resize": {"kind": "stretch", "to": [40, 70]}, "transforms": crop}),
            "",
            "the middle 16 x 16 pixels of images stretched to 40 x 70 pixels",
        ),
        (json!({"resize": {"kind": "fit", "to": [24, 48]}, "transforms": crop}), "", "fitted into 24 x 48 pixels"),
        (json!({}), "--tile 32", ""),
    ]
    .into_iter()
    .enumerate()
    {
        configure(&place, data);
        let run = format!("--run r{case}");
        place.app(&format!("train --config c.json {run}")).ok();
        place.app(&format!("predict {run} --output out{case} {how} d/images")).ok();
        let found = object(&place, &format!("validate {run} --full --json {how}"));
        let [[a, b], [c, d]] = recount(&place, &format!("out{case}"));
        assert_eq!(found["pixels"], a + b + c + d, "{found}");
        assert_eq!(found["accuracy"], (a + d) as f64 / (a + b + c + d) as f64);
        assert_eq!(found["iou"]["square"], d as f64 / (b + c + d) as f64);
        assert!(found["loss"].is_null() && found["scored_on"].as_str().unwrap().contains("masks' own size"));
        let table = place.app(&format!("validate {run}")).ok().stdout;
        assert!(table.contains("\nscored on ") && table.contains(middle), "{table}");
        let usual = object(&place, &format!("validate {run} --json"));
        assert!(usual["pixels"].as_u64() < found["pixels"].as_u64() && usual["loss"].is_number(), "{usual}");
        if let Some(mut python) = python() {
            let script = root().join("tests/reference/score_maps.py");
            python.arg(script).args(["d/masks", &format!("out{case}"), "100=0,200=1"]).args(of_validation(&place));
            let said = Ran::new(python.current_dir(place.path(".")).output().unwrap()).ok();
            let said: Value = serde_json::from_str(&said.stdout).unwrap();
            for key in ["pixels", "accuracy", "mean_iou", "mean_dice"] {
                assert_eq!(found[key], said[key], "{key}");
            }
        }
    }
    place.app("validate --run r0 --mirror both").refused(2, "add --full");
    // Generated samples have one size only.
    place.train("--run drawn").ok();
    let [full, usual] = ["--full", ""].map(|full| object(&place, &format!("validate --run drawn --json {full}")));
    assert_eq!(full, usual);
}

#[test]
fn an_image_as_long_as_a_sample_is_predicted_as_validation_sees_it_and_a_longer_one_alike() {
    let place = Place::new();
    strips(&place, 8, [32, 32]);
    let resize = json!({"kind": "shorter_side"});
    configure(&place, json!({"size": [32, 32], "resize": resize, "transforms": [{"kind": "random_crop"}]}));
    place.app("train --config c.json --run r --set train.epochs=6 --set optimizer.learning_rate=0.01").ok();
    let picture = RgbImage::from_fn(32, 32, |x, y| Rgb([(x * 5) as u8, (y * 7) as u8, 90]));
    picture.save(place.path("small.png")).unwrap();
    // The same at twice the size: at the training scale it is the same again.
    let twice = image::imageops::resize(&picture, 64, 64, image::imageops::FilterType::Nearest);
    twice.save(place.path("twice.png")).unwrap();
    // Three copies side by side, which are three tiles.
    let mut wide = RgbImage::new(96, 32);
    (0..3).for_each(|copy| image::imageops::replace(&mut wide, &picture, 32 * copy, 0));
    wide.save(place.path("wide.png")).unwrap();
    place.app("predict --run r --output out small.png twice.png wide.png").ok();
    place.app("predict --run r --output tiled --tile 32 small.png wide.png").ok();
    let map = |name: &str| image::open(place.path(name)).unwrap().into_luma8();
    assert_eq!(map("out/small.png"), map("tiled/small.png"));
    assert_eq!(map("out/wide.png"), map("tiled/wide.png"), "its shorter side is that of training already");
    let half = image::imageops::resize(&map("out/twice.png"), 32, 32, image::imageops::FilterType::Nearest);
    let same = half.pixels().zip(map("out/small.png").pixels()).filter(|(a, b)| a == b).count();
    assert!(same as f64 / 1024.0 > 0.95, "{same}");
}
