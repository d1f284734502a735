//! Predictions averaged over networks, scales and mirror images.

use super::support::Place;
use image::{GrayImage, Luma, Rgb, RgbImage};
use serde_json::{Value, json};
use std::fs;

/// Returns a picture without symmetry.
fn picture(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([(x * 11 + y * 3) as u8, (x * y) as u8, if x > y { 220 } else { 30 }]))
}

/// Trains two networks of the same classes that see images at other sizes, with other values.
fn two_networks(place: &Place) {
    place.train("--run runs/a").ok();
    let other = r#"--set data.size=[24,40] --set data.normalize={"mean":[0.4,0.5,0.6],"std":[0.2,0.3,0.1]}"#;
    place.train(&format!("--run runs/b --set train.seed=5 {other}")).ok();
    fs::create_dir(place.path("all")).unwrap();
    for (name, width, height) in [("a", 50, 41), ("b", 16, 16), ("c", 75, 90)] {
        picture(width, height).save(place.path(&format!("all/{name}.png"))).unwrap();
    }
}

/// Returns the probabilities of an image in a folder, and its class map.
fn predicted(place: &Place, output: &str, image: &str) -> (Vec<f64>, Vec<u8>) {
    let npy = fs::read(place.path(&format!("{output}/{image}_probabilities.npy"))).unwrap();
    let values = npy[128..].as_chunks().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes)));
    let map = image::open(place.path(&format!("{output}/{image}.png"))).unwrap().into_luma8();
    (values.collect(), map.into_raw())
}

/// Asserts that the probabilities in `output` are the mean of those in `parts`, and the class map is theirs.
fn assert_mean(place: &Place, output: &str, parts: &[String]) {
    for image in ["a", "b", "c"] {
        let (found, map) = predicted(place, output, image);
        let each: Vec<Vec<f64>> = parts.iter().map(|part| predicted(place, part, image).0).collect();
        let mean = |at: usize| each.iter().map(|values| values[at]).sum::<f64>() / each.len() as f64;
        let worst = found.iter().enumerate().map(|(at, value)| (value - mean(at)).abs()).fold(0.0, f64::max);
        assert!(worst < 1e-6, "{output}/{image}: {worst}");
        for (pixel, class) in map.iter().enumerate() {
            let most = (0..4).map(|class| mean(class * map.len() + pixel)).fold(0.0, f64::max);
            assert!(mean(usize::from(*class) * map.len() + pixel) > most - 1e-6, "{output}/{image}, pixel {pixel}");
        }
        assert!(each.windows(2).all(|pair| pair[0] != pair[1]), "{output}/{image}: the parts are the same");
    }
}

#[test]
fn an_ensemble_is_the_mean_of_its_networks() {
    let place = Place::new();
    two_networks(&place);
    for (case, how) in ["", "--tile 32", "--mirror both", "--tile 32 --scales 0.5,1"].into_iter().enumerate() {
        let parts: Vec<String> = ["a", "b"].map(|run| format!("out{case}-{run}")).into();
        for (run, output) in ["a", "b"].into_iter().zip(&parts) {
            place.app(&format!("predict --run runs/{run} --output {output} --also npy {how} all")).ok();
        }
        // A run by its newest checkpoint, a checkpoint by its path.
        let checkpoint = place.checkpoints("runs/b").pop().unwrap();
        let ensemble = format!("--ensemble runs/a {}", checkpoint.display());
        let ran = place.app(&format!("predict {ensemble} --output out{case} --also npy {how} all")).ok();
        assert!(ran.stderr.contains("Averaging 2 networks: time and memory are the sum of theirs"), "{}", ran.stderr);
        assert_mean(&place, &format!("out{case}"), &parts);
    }
    // A saved network takes part like the checkpoint that it comes from.
    place.app("export --run runs/a --formats safetensors --output saved/a/1").ok();
    place.app("predict --ensemble saved/a/1 runs/b --output saved-out --also npy all").ok();
    assert_mean(&place, "saved-out", &["out0-a".into(), "out0-b".into()]);
    // An image that cannot be read is left out once.
    let whole = fs::read(place.path("all/c.png")).unwrap();
    fs::write(place.path("all/b2.png"), &whole[..whole.len() / 2]).unwrap();
    for how in ["", "--tile 32"] {
        let ran = place.app(&format!("predict --ensemble runs/a runs/b --output torn {how} all"));
        let ran = ran.refused(1, "1 of 4 images could not be read: b2");
        assert_eq!(ran.stderr.matches("Skipped sample 'b2'").count(), 1, "{}", ran.stderr);
        assert!(place.path("torn/c.png").exists() && !place.path("torn/b2.png").exists());
    }
}

#[test]
fn scales_are_averaged_and_scale_1_changes_no_byte() {
    let place = Place::new();
    two_networks(&place);
    for (case, how) in ["", "--tile 32", "--mirror horizontal"].into_iter().enumerate() {
        let predict = |output: &str, scales: &str| {
            place.app(&format!("predict --run runs/b --output {output} --also npy,overlay {how} {scales} all")).ok();
        };
        let each: Vec<String> = ["0.75", "1", "1.5"].map(|scale| format!("out{case}-{scale}")).into();
        for (scale, output) in ["0.75", "1", "1.5"].iter().zip(&each) {
            predict(output, &format!("--scales {scale}"));
        }
        predict(&format!("out{case}"), "--scales 0.75,1,1.5");
        assert_mean(&place, &format!("out{case}"), &each);
        predict(&format!("plain{case}"), "");
        for file in fs::read_dir(place.path(&format!("plain{case}"))).unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            let [one, other] =
                [format!("plain{case}"), format!("out{case}-1")].map(|folder| place.path(&folder).join(&name));
            assert_eq!(fs::read(one).unwrap(), fs::read(other).unwrap(), "{how}: {name}");
        }
    }
}

/// Draws bright squares on dark ground, of which `count` are images with masks.
fn squares(place: &Place, count: u32) {
    for folder in ["d/images", "d/masks"] {
        fs::create_dir_all(place.path(folder)).unwrap();
    }
    for number in 0..count {
        let (width, height) = (40 + number % 3, 30 + 3 * (number % 4));
        let left = number * 7 % 20;
        let within = |x: u32, y: u32| (left..left + 12).contains(&x) && (6..18).contains(&y);
        let color = |x, y| if within(x, y) { [220, 200, 60] } else { [30, (x * 3 + y * 5 + number) as u8 % 60, 40] };
        let image = RgbImage::from_fn(width, height, |x, y| Rgb(color(x, y)));
        image.save(place.path(&format!("d/images/{number}.png"))).unwrap();
        let mask = GrayImage::from_fn(width, height, |x, y| Luma([u8::from(within(x, y))]));
        mask.save(place.path(&format!("d/masks/{number}.png"))).unwrap();
    }
}

#[test]
fn a_scale_is_another_size_of_the_data() {
    let place = Place::new();
    squares(&place, 12);
    let data = json!({"kind": "folders", "root": "d", "classes": ["ground", "square"], "size": [16, 24],
                      "split": {"validation_fraction": 0.5}, "loader": {"batch_size": 3}});
    let config = json!({"data": data, "model": {"kind": "unet", "width": 4, "depth": 2},
                        "train": {"epochs": 2, "threads": 1, "device": "cpu"}, "export": {"at_end": false}});
    fs::write(place.path("c.json"), config.to_string()).unwrap();
    place.app("train --config c.json --run r").ok();
    let object = |arguments: &str| -> Value {
        serde_json::from_str(&place.app(&format!("validate --run r --full --json {arguments}")).ok().stdout).unwrap()
    };
    let scores = |object: Value| json!([object["mean_iou"], object["iou"], object["pixels"]]);
    let plain = scores(object(""));
    for (scale, size) in [("2", "[32,48]"), ("0.5", "[8,12]")] {
        let scaled = scores(object(&format!("--scales {scale}")));
        assert_eq!(scaled, scores(object(&format!("--set data.size={size}"))));
        assert_ne!(scaled, plain);
    }
    assert_ne!(scores(object("--scales 0.5,1,2")), plain);
}

#[test]
fn what_has_no_mean_is_refused_by_name() {
    let place = Place::new();
    two_networks(&place);
    squares(&place, 4);
    let data = json!({"kind": "folders", "root": "d", "classes": ["ground", "square"], "size": [16, 16]});
    let mut config: Value = serde_json::from_str(super::support::TINY).unwrap();
    config["data"] = data;
    fs::write(place.path("c.json"), config.to_string()).unwrap();
    place.app("train --config c.json --run runs/squares").ok();
    let predict = |options: &str| place.app(&format!("predict --output out {options} all"));
    let classes = "has the classes ground, square, and runs/a/checkpoints/";
    predict("--ensemble runs/a runs/squares --mirror none").refused(2, classes);
    let swallowed = place.app("predict --output out all --ensemble runs/a all");
    swallowed.refused(2, "--ensemble all: it is no run, no checkpoint and no saved network");
    predict("--run runs/a --ensemble runs/b --mirror none").refused(2, "cannot be used with");
    let checkpoint = place.checkpoints("runs/a").pop().unwrap();
    let named = format!("--checkpoint {} --ensemble runs/b --mirror none", checkpoint.display());
    predict(&named).refused(2, "names one network: name it in --ensemble");
    predict("--run runs/a --scales 9").refused(2, "--scales: each must be from 0.25 to 4, one is 9");
    predict("--run runs/a --scales 1,0.5,1").refused(2, "--scales: 1 is there twice");
    for option in ["--scales 0.5", "--ensemble runs/a runs/b", "--postprocess auto"] {
        place.app(&format!("validate {option}")).refused(2, "add --full");
    }
    // The table of scores replaces no file of any of the networks.
    place
        .app("validate --full --ensemble runs/a runs/b --csv runs/b/metrics.jsonl --overwrite")
        .refused(2, "is part of runs/b");
    place.app("validate --run runs/a --full --scales 0.5").refused(2, "the validation data are drawn and not files");
    assert!(!place.path("out").exists());
}
