//! Rare classes: learnt with sampling and not without; sampled runs resume to the bit.

use super::support::Place;
use image::{GrayImage, Luma, Rgb, RgbImage};
use serde_json::{Value, json};
use std::fs;

/// Height and width of the images.
const SIDE: u32 = 256;

/// Draws images of noise with green discs; every second image has two red discs, which are class 1: 32 pixels of each
/// make 1 of 2,048 pixels of the set.
fn specks(place: &Place, count: u32) {
    for folder in ["d/images", "d/masks"] {
        fs::create_dir_all(place.path(folder)).unwrap();
    }
    let mut rare = 0u32;
    for number in 0..count {
        let mut state = number.wrapping_mul(0x9e37_79b9) | 1;
        let mut next = |bound: u32| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state % bound
        };
        let mut picture = RgbImage::from_fn(SIDE, SIDE, |_, _| Rgb([0; 3].map(|_| 90 + next(60) as u8)));
        let mut mask = GrayImage::new(SIDE, SIDE);
        // One disc in each cell of a grid, so that none lies over another.
        for cell in 0..16 {
            let [left, top] = [cell % 4, cell / 4].map(|at| 64 * at + 4 + next(48));
            let is_rare = number % 2 == 0 && [5, 10].contains(&cell);
            let color = if is_rare { [170, 95, 95] } else { [95, 170, 95] };
            for (x, y) in (0..6).flat_map(|x| (0..6).map(move |y| (x, y))) {
                if [0, 5].contains(&x) && [0, 5].contains(&y) {
                    continue;
                }
                picture.put_pixel(left + x, top + y, Rgb(color.map(|value: u8| value + next(25) as u8)));
                if is_rare {
                    mask.put_pixel(left + x, top + y, Luma([1]));
                    rare += 1;
                }
            }
        }
        picture.save(place.path(&format!("d/images/{number}.png"))).unwrap();
        mask.save(place.path(&format!("d/masks/{number}.png"))).unwrap();
    }
    assert_eq!(count * SIDE * SIDE / rare, 2048);
    let names = |numbers: std::ops::Range<u32>| numbers.map(|number| format!("{number}\n")).collect::<String>();
    fs::write(place.path("d/train.txt"), names(4..count)).unwrap();
    fs::write(place.path("d/validation.txt"), names(0..4)).unwrap();
}

/// Writes a configuration of pieces of 32 × 32 pixels.
fn configure(place: &Place, name: &str, crop: Value, loader: Value) {
    let config = json!({
        "data": {"kind": "folders", "root": "d", "classes": ["ground", "speck"], "size": [32, 32],
                 "resize": {"kind": "none"}, "transforms": [crop, {"kind": "horizontal_flip"}], "loader": loader,
                 "split": {"train": "train.txt", "validation": "validation.txt"}},
        "model": {"kind": "unet", "width": 4, "depth": 2},
        "optimizer": {"learning_rate": 0.01}, "loss": {"dice": 1},
        "train": {"epochs": 2, "threads": 1, "device": "cpu"},
        "summary": {"tensorboard": false, "report": false}, "export": {"at_end": false}
    });
    fs::write(place.path(name), config.to_string()).unwrap();
}

/// Trains with and without sampling, for the same number of steps, and returns the IoU of the rare class of each seed.
fn learnt(seeds: std::ops::Range<u32>) -> Vec<[f64; 2]> {
    let place = Place::new();
    specks(&place, 20);
    let loader = |sampler: Value| {
        let folder = if sampler["kind"] == "uniform" { Value::Null } else { "index".into() };
        json!({"batch_size": 8, "epoch_samples": 600, "sampler": sampler, "cache_folder": folder})
    };
    configure(&place, "without.json", json!({"kind": "random_crop"}), loader(json!({"kind": "uniform"})));
    let crop = json!({"kind": "random_crop", "foreground": 0.33});
    configure(&place, "with.json", crop, loader(json!({"kind": "balanced"})));
    let of_seed = |seed| {
        ["without", "with"].map(|how| {
            let run = format!("--run {how}{seed}");
            place.app(&format!("train --config {how}.json {run} --set train.seed={seed}")).ok();
            let steps = place.metrics(&format!("{how}{seed}")).last().unwrap()["step"].clone();
            assert_eq!(steps, 150);
            let scores = place.app(&format!("validate {run} --full --json")).ok().stdout;
            serde_json::from_str::<Value>(&scores).unwrap()["iou"]["speck"].as_f64().unwrap()
        })
    };
    seeds.map(of_seed).collect()
}

#[test]
fn a_class_of_one_pixel_in_two_thousand_is_learnt_with_sampling_and_not_without() {
    let found = learnt(0..1);
    assert!(found.iter().all(|[without, with]| *without < 0.2 && *with > 0.6), "{found:?}");
}

#[test]
#[ignore = "many-fold: scripts/test --all"]
fn a_rare_class_is_learnt_with_each_of_three_seeds() {
    let found = learnt(0..3);
    println!("IoU of the rare class without and with sampling: {found:?}");
    assert!(found.iter().all(|[without, with]| *without < 0.2 && *with > 0.6), "{found:?}");
}

#[test]
fn a_sampled_run_that_stopped_within_an_epoch_goes_on_to_the_bit() {
    let place = Place::new();
    specks(&place, 10);
    // Six samples, of which three are rare: a pass is longer than six, and an epoch is neither.
    let crop = json!({"kind": "random_crop", "foreground": 0.5, "cat_max_ratio": 0.99});
    let sampler = json!({"kind": "balanced"});
    let loader = json!({"batch_size": 3, "epoch_samples": 14, "sampler": sampler, "cache_folder": "index"});
    configure(&place, "c.json", crop, loader);
    let straight = place.app("train --config c.json --run straight --set train.epochs=3").ok();
    for said in ["Where classes are comes from the index index/folders-train-", "Training on 6 samples (14 an epoch)"] {
        assert!(straight.stderr.contains(said), "{}", straight.stderr);
    }
    let stopped = |more: &str| place.app(&format!("train --config c.json --run resumed --set train.epochs=3 {more}"));
    stopped("--until-step 3").refused(75, "Stopped at step 3");
    // The index is made anew, by another number of threads, and is the same.
    fs::remove_dir_all(place.path("index")).unwrap();
    stopped("--until-step 7 --set data.loader.workers=0").refused(75, "Stopped at step 7");
    stopped("--set data.loader.cache=memory").ok();
    assert_eq!(place.metrics("straight"), place.metrics("resumed"));
    for file in ["model.safetensors", "optimizer.safetensors", "generator.safetensors"] {
        assert!(place.last("straight", file) == place.last("resumed", file), "{file}");
    }
    assert_eq!(place.metrics("straight").last().unwrap()["step"], 15);
    // What decides on the samples is asked about.
    let longer = "train --config c.json --run straight --set train.epochs=4";
    for (key, value) in [("sampler", r#"{"kind":"uniform"}"#), ("epoch_samples", "20")] {
        let changed = place.app(&format!("{longer} --set data.loader.{key}={value}"));
        changed.refused(2, &format!("--allow data.loader.{key}"));
    }
}

#[test]
fn two_ranks_draw_what_one_process_draws() {
    let place = Place::new();
    specks(&place, 8);
    let loader = json!({"batch_size": 4, "epoch_samples": 10, "sampler": {"kind": "repeat_factors", "threshold": 0.9},
                        "cache_folder": "index"});
    configure(&place, "c.json", json!({"kind": "random_crop", "foreground": 0.5}), loader);
    place.app("train --config c.json --run one").ok();
    place.app("train --config c.json --run two --nproc 2").ok();
    let [one, two] = ["one", "two"].map(|run| place.metrics(run));
    assert_eq!(one.len(), two.len());
    for (one, two) in one.iter().zip(&two).filter(|(one, _)| one["stage"] == "train") {
        let [one, two] = [one, two].map(|line| line["loss"].as_f64().unwrap());
        assert!((one - two).abs() < 1e-4 * one.abs(), "{one}, {two}");
    }
}

#[test]
fn a_run_of_before_goes_on_and_wrong_settings_are_named() {
    let place = Place::new();
    let transforms = r#"data.transforms=[{"kind":"random_crop","class":"circle","at_least":0.1}]"#;
    place.train(&format!("--run straight --set {transforms} --set train.epochs=4")).ok();
    place.train(&format!("--run old --set {transforms}")).ok();
    // As an older version wrote it, without the keys that came later.
    let path = place.path("old/config.json");
    let mut config: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let crop = config["data"]["transforms"][0].as_object_mut().unwrap();
    assert!(crop.remove("foreground").is_some() && crop.remove("cat_max_ratio").is_some());
    let loader = config["data"]["loader"].as_object_mut().unwrap();
    assert!(loader.remove("sampler").is_some() && loader.remove("epoch_samples").is_some());
    fs::write(path, config.to_string()).unwrap();
    place.app("train --run old --set train.epochs=4").ok();
    assert_eq!(place.metrics("straight"), place.metrics("old"));
    let model = |run: &str| place.last(run, "model.safetensors");
    assert!(model("straight") == model("old"));
    for (setting, says) in [
        (r#"data.loader.sampler={"kind":"rare"}"#, "data.loader.sampler.kind"),
        (r#"data.loader.sampler={"kind":"repeat_factors","threshold":2}"#, "data.loader.sampler.threshold"),
        (r#"data.loader.sampler={"kind":"repeat_factors"}"#, "threshold"),
        (r#"data.loader.sampler={"kind":"balanced","threshold":0.1}"#, "data.loader.sampler"),
        ("data.loader.epoch_samples=0", "data.loader.epoch_samples: must be 1 to 100000000 samples"),
        ("data.loader.epoch_samples=-1", "data.loader.epoch_samples"),
        (r#"data.transforms=[{"kind":"random_crop","foreground":2}]"#, "data.transforms[0].foreground"),
        (r#"data.transforms=[{"kind":"random_crop","cat_max_ratio":0}]"#, "data.transforms[0].cat_max_ratio"),
        (r#"data.transforms=[{"kind":"random_crop","class":"circle"}]"#, "data.transforms[0].at_least"),
    ] {
        place.train(&format!("--run wrong --set {setting}")).refused(2, says);
    }
    // Every generated image shows the ground, so nothing below its frequency is rare.
    let same = r#"data.loader.sampler={"kind":"repeat_factors","threshold":0.01}"#;
    let nothing = place.train(&format!("--run wrong --set {same} --set data.loader.cache_folder=index"));
    nothing.refused(2, "data.loader.sampler: changes nothing");
}
