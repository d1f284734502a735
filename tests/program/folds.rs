//! Cross-validation: the folds of a data set as runs that are trained, resumed, listed and scored together.

use super::life::Life;
use super::support::{Place, Ran};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::thread::sleep;
use std::time::Duration;

/// Images of twelve patients, two of each, in which the brighter half is the second class.
fn images(place: &Place) {
    for folder in ["data/images", "data/masks"] {
        fs::create_dir_all(place.path(folder)).unwrap();
    }
    for patient in 0..12u32 {
        for slice in 0..2u32 {
            let is_class = |x: u32, y: u32| (x + y * (slice + 1) + patient) % 16 < 8;
            let image = image::GrayImage::from_fn(16, 16, |x, y| image::Luma([if is_class(x, y) { 200 } else { 40 }]));
            let mask = image::GrayImage::from_fn(16, 16, |x, y| image::Luma([u8::from(is_class(x, y))]));
            image.save(place.path(&format!("data/images/p{patient}_{slice}.png"))).unwrap();
            mask.save(place.path(&format!("data/masks/p{patient}_{slice}.png"))).unwrap();
        }
    }
}

/// Makes the data and a configuration, and returns the command that trains three folds.
fn prepared(place: &Place) -> String {
    images(place);
    let config = r#"{
        "data": { "kind": "folders", "root": "data", "classes": ["dark", "bright"], "size": [16, 16],
                  "split": { "validation_fraction": 0.3, "group": "{}_*" }, "loader": { "batch_size": 4 } },
        "model": { "kind": "unet", "width": 4, "depth": 1 },
        "optimizer": { "learning_rate": 0.01 },
        "train": { "epochs": 3 },
        "checkpoint": { "every_steps": 2 },
        "export": { "at_end": false }
    }"#;
    fs::write(place.path("bright.json"), config).unwrap();
    "train --config bright.json --folds 3".into()
}

fn samples(place: &Place, fold: &str) -> BTreeSet<String> {
    let csv = format!("{fold}.csv");
    place.app(&format!("validate --run runs/bright/{fold} --csv {csv}")).ok();
    let text = fs::read_to_string(place.path(&csv)).unwrap();
    text.lines().skip(1).map(|line| line.split(',').next().unwrap().to_string()).collect()
}

fn said(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap()
}

#[test]
fn folds_are_trained_listed_scored_and_averaged_and_no_group_is_in_two() {
    let place = Place::new();
    let train = prepared(&place);
    let ran = place.app(&train).ok();
    assert!(ran.stdout.contains("fold 3") && ran.stdout.contains("app validate --run runs/bright"), "{}", ran.stdout);

    // Every sample is validated on once, beside the other one of its patient.
    let parts = [1, 2, 3].map(|fold| samples(&place, &format!("fold-{fold}")));
    let all: BTreeSet<String> = parts.iter().flatten().cloned().collect();
    assert_eq!((all.len(), parts.iter().map(BTreeSet::len).sum::<usize>()), (24, 24));
    for part in &parts {
        for name in part {
            let other = if let Some(patient) = name.strip_suffix("_0") {
                format!("{patient}_1")
            } else {
                name.replace("_1", "_0")
            };
            assert!(part.contains(&other), "{name} without {other}");
        }
    }

    // The scores of all samples are those of the folds' matrices together.
    let of_folds =
        [1, 2, 3].map(|fold| said(&place.app(&format!("validate --json --run runs/bright/fold-{fold}")).ok()));
    let together = said(&place.app("validate --json --run runs/bright --csv all.csv").ok());
    assert_eq!((together["samples"].as_u64(), together["folds"].as_u64()), (Some(24), Some(3)));
    let pixels: Vec<f64> = of_folds.iter().map(|fold| fold["samples"].as_f64().unwrap() * 256.0).collect();
    let accuracies = of_folds.iter().zip(&pixels).map(|(fold, pixels)| fold["accuracy"].as_f64().unwrap() * pixels);
    let expected = accuracies.sum::<f64>() / pixels.iter().sum::<f64>();
    assert!((together["accuracy"].as_f64().unwrap() - expected).abs() < 1e-9, "{together}");
    assert_eq!(fs::read_to_string(place.path("all.csv")).unwrap().lines().count(), 1 + 24 * 2);
    let full = said(&place.app("validate --json --full --run runs/bright").ok());
    assert_eq!(full["samples"].as_u64(), Some(24));

    let listed = place.app("runs").ok().stdout;
    assert!(listed.contains("\n\nbright: ") && listed.contains("over 3 folds"), "{listed}");
    place.app("report --run runs/bright").ok();
    let page = fs::read_to_string(place.path("runs/bright/report.html")).unwrap();
    assert!(page.contains("Mean and standard deviation of the folds"));
    let ran = place.app("predict --ensemble runs/bright --output out -- data/images/p0_0.png").ok();
    assert!(ran.stderr.contains("Averaging 3 networks"), "{}", ran.stderr);

    // Once more, all is done.
    let again = place.app(&train).ok();
    assert_eq!(again.stderr.matches("is finished: 3 epochs").count(), 3, "{}", again.stderr);
}

#[test]
fn folds_that_are_killed_or_stopped_go_on_to_the_same_result() {
    let place = Place::new();
    let train = prepared(&place);
    place.app(&format!("{train} --run runs/whole")).ok();
    let whole = [1, 2, 3].map(|fold| place.metrics(&format!("runs/whole/fold-{fold}")).pop().unwrap());

    // Killed in its second fold, which saves what it has, and told to stop in its third.
    let begun = |fold: u32| {
        let mut life = Life::start(&place, &format!("{train} --run runs/cut"));
        let metrics = place.path(&format!("runs/cut/fold-{fold}/metrics.jsonl"));
        assert!(life.until(|_| metrics.exists()), "{}", life.said());
        life
    };
    begun(2).kill();
    place.app("validate --run runs/cut").refused(2, "holds 2 of 3 folds: train the others with app train --folds 3");
    let is_over = || !place.app("runs runs/cut").ok().stdout.contains("running");
    assert!(
        (0..600).any(|_| is_over() || {
            sleep(Duration::from_millis(100));
            false
        }),
        "the fold outlives its launcher"
    );
    let stopped = begun(3);
    stopped.send("TERM");
    // It may have been about to end.
    let status = stopped.end().status;
    assert!(status == Some(75) || status == Some(0), "{status:?}");
    place.app(&format!("{train} --run runs/cut")).ok();
    for (fold, whole) in (1..).zip(whole) {
        let cut = place.metrics(&format!("runs/cut/fold-{fold}")).pop().unwrap();
        assert_eq!((&cut["mean_iou"], &cut["loss"]), (&whole["mean_iou"], &whole["loss"]), "fold {fold}");
    }
}

#[test]
fn what_cannot_be_divided_is_refused_by_name() {
    let place = Place::new();
    let train = prepared(&place);
    place.app("train --folds 1").refused(2, "a number from 2 to 1000");
    place.app("train --folds 3").refused(2, "data of the kind shapes do not have");
    let named = "data.split={\"train\":\"a\",\"validation\":\"b\"}";
    place.app(&format!("{train} --set {named}")).refused(2, "data.split names those for training and validation");
    let no_group = "data.split.group=case{}-*";
    place.app(&format!("{train} --set {no_group}")).refused(1, "finds no group in the name 'p0_0'");
    place.app(&format!("{train} --set data.split.group=patient")).refused(2, "data.split.group: must hold {} once");
    place.app(&format!("{train} --until-step 3")).refused(2, "cannot be used with");
    place.app("train --config bright.json --run runs/one").ok();
    place.app(&format!("{train} --run runs/one")).refused(2, "is one run, and --folds makes a folder of runs");
    fs::create_dir_all(place.path("runs/odd/fold-1")).unwrap();
    fs::copy(place.path("runs/one/config.json"), place.path("runs/odd/fold-1/config.json")).unwrap();
    place.app("predict --output out --ensemble runs/odd -- data/images/p0_0.png").refused(1, "is no fold");
}
