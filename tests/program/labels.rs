//! Data that a training could not learn from, or not to its end: refused with what to write, or warned of, before step
//! 1.

use super::support::{Place, Ran};
use image::{GrayImage, ImageFormat, Luma, Rgb, RgbImage};
use serde_json::{Value, json};
use std::fs;

/// Writes pictures `0` to `count - 1` of 16×16 pixels, with masks of vertical stripes of these values, and a
/// configuration for them.
fn place(count: u8, values: &[u8], data: Value) -> Place {
    let place = Place::new();
    for folder in ["d/images", "d/masks"] {
        fs::create_dir_all(place.path(folder)).unwrap();
    }
    for number in 0..count {
        let image = RgbImage::from_fn(16, 16, |x, y| Rgb([(x * 16) as u8, (x * y * u32::from(number + 3)) as u8, 90]));
        image.save(place.path(&format!("d/images/{number}.jpg"))).unwrap();
        let mask = GrayImage::from_fn(16, 16, |x, _| Luma([values[x as usize * values.len() / 16]]));
        mask.save(place.path(&format!("d/masks/{number}.png"))).unwrap();
    }
    let mut config = json!({
        "data": {"kind": "folders", "root": "d", "size": [16, 16], "classes": ["ground", "disc", "square"],
                 "split": {"validation_fraction": 0.3}},
        "model": {"kind": "unet", "width": 2, "depth": 1}, "train": {"device": "cpu", "epochs": 1, "threads": 1},
        "summary": {"tensorboard": false, "report": false}, "export": {"at_end": false}
    });
    config["data"].as_object_mut().unwrap().extend(data.as_object().unwrap().clone());
    fs::write(place.path("c.json"), config.to_string()).unwrap();
    place
}

fn train(place: &Place, more: &str) -> Ran {
    place.app(&format!("train --config c.json --run r {more}"))
}

/// Asserts that training is refused, and that the check finds the same.
fn refused(place: &Place, says: &str) -> String {
    let ran = train(place, "").refused(2, says);
    assert!(!place.path("r").exists(), "nothing was begun");
    let check = place.app("data check --config c.json");
    assert!(check.status == 1 && check.stdout.contains(says), "{}", check.stdout);
    ran.stderr
}

#[test]
fn labels_that_leave_nothing_to_train_on_are_refused_with_what_masks_hold() {
    let place_of = |labels| place(6, &[10, 20, 30], json!({ "labels": labels }));
    for labels in [
        json!({"unlisted": "ignore"}),
        json!({"map": {"1": "ground", "2": "disc", "3": "square"}, "unlisted": "ignore"}),
    ] {
        let said =
            refused(&place_of(labels), "data.labels: leaves nothing to train on: no pixel of the training masks");
        assert!(
            said.contains(
                r#"they hold 10, 20, 30, of which it says nothing: write {"map": {"10": 0, "20": 1, "30": 2}}"#
            )
        );
        assert!(!said.contains("255"), "{said}");
    }
    let all_ignored = json!({"map": {"1": "ground"}, "ignore": [10, 20, 30]});
    refused(&place_of(all_ignored), "they hold 10, 20, 30, which it ignores");
}

#[test]
fn labels_that_drop_all_classes_but_one_without_a_word_are_refused() {
    let labels = json!({"map": {"10": "ground"}, "unlisted": "ignore"});
    let said =
        refused(&place(6, &[10, 20, 30], json!({ "labels": labels })), "data.labels: says nothing of 20, 30, so they");
    for part in [r#"{"map": {"10": 0, "20": 1, "30": 2}}"#, r#"{"ignore": [20, 30]}"#, "the class 'ground'"] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    assert!(!said.contains("255"), "it was not seen: {said}");
}

#[test]
fn where_one_class_counts_every_network_is_perfect_and_that_is_said() {
    for (data, says) in [
        (
            json!({"classes": ["cell"], "labels": {"map": {"255": 0}, "unlisted": "ignore"}}),
            "data.classes names 'cell' alone, so every network is perfect on the training data",
        ),
        (
            json!({"classes": ["ground", "disc"], "labels": {"map": {"255": "disc"}, "ignore": [0]}}),
            "only the class 'disc' counts in the training masks (which hold 0, 255)",
        ),
    ] {
        let place = place(6, &[0, 255], data);
        let ran = train(&place, "").ok();
        // Before training, and after it with the scores.
        assert_eq!(ran.stderr.matches(says).count(), 2, "{}", ran.stderr);
        assert!(ran.stderr.contains(&says.replace("training", "validation")), "{}", ran.stderr);
        let check = place.app("data check --config c.json").ok();
        assert!(check.stdout.contains(says) && !check.stdout.contains("Nothing odd"), "{}", check.stdout);
    }
}

#[test]
fn a_validation_of_which_no_pixel_counts_is_warned_of() {
    let split = json!({"split": {"train": "train.txt", "validation": "val.txt"}, "labels": {"unlisted": "ignore"}});
    let place = place(6, &[0, 1, 2], split);
    fs::write(place.path("d/train.txt"), "0\n1\n2\n3\n").unwrap();
    fs::write(place.path("d/val.txt"), "4\n").unwrap();
    GrayImage::from_pixel(16, 16, Luma([9])).save(place.path("d/masks/4.png")).unwrap();
    let says = "data.labels leaves nothing to measure with: no pixel of the validation masks counts; they hold 9";
    let ran = train(&place, "").ok();
    assert_eq!(ran.stderr.matches(says).count(), 2, "{}", ran.stderr);
    let check = place.app("data check --config c.json").ok();
    assert!(check.stdout.contains(says), "{}", check.stdout);
}

#[test]
fn a_few_samples_are_trained_on_or_refused_with_the_way_out() {
    let few =
        |count| place(count, &[0, 1, 2], json!({"loader": {"batch_size": 16}, "split": {"validation_fraction": 0.2}}));
    let said = train(&few(1), "").refused(1, "split has none of the 1 samples: add samples").stderr;
    assert!(said.contains("data.split.train and data.split.validation"), "{said}");
    for count in [2, 3] {
        let place = few(count);
        let ran = train(&place, "").ok();
        assert!(ran.stderr.contains(&format!("Training on {} samples, validating on 1", count - 1)), "{}", ran.stderr);
        assert_eq!(place.metrics("r")[0]["step"], 1, "a batch larger than the data is one batch");
    }
}

#[test]
fn photographs_that_are_cut_off_are_found_before_the_first_step() {
    let place = place(8, &[0, 1, 2], json!({"split": {"train": "train.txt", "validation": "val.txt"}}));
    fs::write(place.path("d/train.txt"), "0\n1\n2\n3\n4\n").unwrap();
    fs::write(place.path("d/val.txt"), "5\n6\n7\n").unwrap();
    let cut = |name: &str| {
        let path = place.path(&format!("d/images/{name}.jpg"));
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() * 3 / 4]).unwrap();
    };
    cut("6");
    let ran = train(&place, "").refused(1, "the validation data: ");
    assert!(ran.stderr.contains("6.jpg is cut off") && !place.path("r").exists(), "{}", ran.stderr);
    cut("2");
    train(&place, "").refused(1, "the training data: ");
    let ran = train(&place, "--set data.loader.max_skipped=1 --set train.epochs=2").ok();
    for said in ["Skipped the training sample '2': ", "Skipped the validation sample '6': "] {
        let (before, _) = ran.stderr.split_once(said).unwrap();
        assert!(!before.contains("Training on"), "before the first step: {}", ran.stderr);
    }
    assert_eq!(ran.stderr.matches("Skipped").count(), 2, "once for each: {}", ran.stderr);
    // Samples found unreadable early count against the limit of skipped ones.
    cut("3");
    train(&place, "--resume never --set data.loader.max_skipped=1").refused(1, "sample '3': ");
    for name in ["0", "1", "4"] {
        cut(name);
    }
    train(&place, "--resume never --set data.loader.max_skipped=9")
        .refused(1, "none of the 5 samples of the training data");
}

#[test]
fn what_stats_offers_for_odd_data_can_be_pasted() {
    let place = place(6, &[0, 1], json!({}));
    for number in 0..6 {
        let black = RgbImage::new(16, 16);
        black.save_with_format(place.path(&format!("d/images/{number}.jpg")), ImageFormat::Png).unwrap();
    }
    let stats = place.app("data stats --config c.json").ok().stdout;
    let pasted: Vec<&str> = stats.lines().filter(|line| line.starts_with("  \"")).collect();
    let value: Value = serde_json::from_str(&format!("{{{}}}", pasted.join(","))).unwrap();
    assert_eq!(value["data"]["normalize"]["std"], json!([1.0, 1.0, 1.0]));
    assert_eq!(value["loss"]["class_weights"][2], 1.0, "the class that is absent");
    let more =
        [("loss.class_weights", &value["loss"]["class_weights"]), ("data.normalize", &value["data"]["normalize"])];
    train(&place, &more.map(|(key, value)| format!("--set {key}={value}")).join(" ")).ok();
}

#[test]
fn a_lack_of_memory_is_said_with_what_takes_less() {
    if tch::Cuda::is_available() {
        return;
    }
    let place = Place::new();
    let more = "--set data.size=[256,256] --set data.train_samples=16 --set data.validation_samples=1 \
                --set data.loader.batch_size=16 --set data.loader.workers=0 --set model.width=32";
    let mut command = std::process::Command::new("sh");
    let line = format!("ulimit -v 1000000; exec \"$0\" train --config tiny.json --run r {more}");
    command.args(["-c", &line, &super::support::APP.display().to_string()]).current_dir(place.path("."));
    let ran = Ran::new(command.output().unwrap()).refused(1, "libtorch: out of memory");
    for part in [
        "epoch 1, batch 1 (",
        " and 8 more)",
        "up to 16 images of 256x256",
        "data.loader.batch_size",
        "model.recompute",
    ] {
        assert!(ran.stderr.contains(part), "{part} is not in {}", ran.stderr);
    }
    assert!(!ran.stderr.contains("alloc_cpu.cpp"), "{}", ran.stderr);
}

#[test]
fn messages_stay_messages_however_long_what_they_quote_is() {
    let long = "x".repeat(3_000_000);
    let place = place(2, &[0, 1, 2], json!({"classes": [long, long]}));
    let said = train(&place, "").refused(2, "data.classes[1]: has the name").stderr;
    assert!(said.len() < 10_000 && said.contains("characters left out") && said.contains("as the class 0 has"));
    fs::write(place.path("c.json"), format!(r#"{{"data": {{"kind": "{long}"}}}}"#)).unwrap();
    assert!(train(&place, "").refused(2, "c.json").stderr.len() < 10_000);
}
