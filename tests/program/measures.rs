//! Scores of single images: the table of `validate --csv`, intervals, and the comparison of two runs.

use super::support::Place;
use image::GrayImage;
use serde_json::{Value, json};
use std::fs;

/// Returns the rows of a table, each with the fields of its columns by name.
fn rows(place: &Place, file: &str) -> Vec<Value> {
    let text = fs::read_to_string(place.path(file)).unwrap();
    let mut lines = text.lines();
    let columns: Vec<&str> = lines.next().unwrap().split(',').collect();
    let row = |line: &str| -> Value {
        let fields: Vec<&str> = line.split(',').collect();
        assert_eq!(fields.len(), columns.len(), "{line}");
        let value = |field: &str| field.parse().map_or_else(|_| json!(field), |number: f64| json!(number));
        columns.iter().zip(fields).map(|(name, field)| ((*name).to_string(), value(field))).collect()
    };
    lines.map(row).collect()
}

fn json(place: &Place, arguments: &str) -> Value {
    serde_json::from_str(&place.app(&format!("validate --json {arguments}")).ok().stdout).unwrap()
}

fn close(found: &Value, expected: f64) -> bool {
    found.as_f64().is_some_and(|found| (found - expected).abs() < 1e-12)
}

const CLASSES: [&str; 4] = ["background", "circle", "square", "triangle"];

#[test]
fn the_table_has_a_row_for_each_image_and_class_and_adds_up_to_the_scores() {
    let place = Place::new();
    place.train("--set optimizer.learning_rate=0.02").ok();
    let object = json(&place, "--csv scores.csv --boundary 0.05 --tolerance 1");
    let rows = rows(&place, "scores.csv");
    assert_eq!(rows.len(), 12 * 4);
    assert_eq!(object["boundaries"], json!({ "ratio": 0.05, "tolerance": 1.0 }));
    for (class, name) in CLASSES.iter().enumerate() {
        let of_class: Vec<&Value> = rows.iter().filter(|row| row["class"] == *name).collect();
        let sum = |column: &str| of_class.iter().filter_map(|row| row[column].as_f64()).sum::<f64>();
        let count = of_class.iter().filter(|row| row["iou"].is_f64()).count() as f64;
        assert_eq!(of_class.len(), 12, "{class}");
        assert_eq!(of_class.iter().filter(|row| row["union"] != 0.0).count() as f64, count);
        for (score, expected) in [
            ("iou", sum("intersection") / sum("union")),
            ("dice", 2.0 * sum("intersection") / (sum("pixels") + sum("predicted"))),
            ("recall", sum("intersection") / sum("pixels")),
            ("boundary_iou", sum("boundary_intersection") / sum("boundary_union")),
            ("hausdorff95", sum("hausdorff95") / count),
            ("surface_dice", sum("surface_dice") / count),
        ] {
            assert!(close(&object[score][name], expected), "{score} of {name}: {} {expected}", object[score][name]);
        }
        let [low, high] = [0, 1].map(|end| object["intervals"]["iou"][name][end].as_f64().unwrap());
        let iou = object["iou"][name].as_f64().unwrap();
        assert!(low <= iou && iou <= high && low < high, "{name}: {low} {iou} {high}");
    }
    let mean = |score: &str| CLASSES.iter().map(|name| object[score][name].as_f64().unwrap()).sum::<f64>() / 4.0;
    for score in ["iou", "dice", "precision", "recall", "boundary_iou", "hausdorff95", "surface_dice"] {
        assert!(close(&object[format!("mean_{score}")], mean(score)), "mean_{score}");
    }
    // Drawn samples have one size only, and the table is the same every time.
    assert_eq!(json(&place, "--full --csv full.csv --boundary 0.05 --tolerance 1"), object);
    assert_eq!(fs::read(place.path("full.csv")).unwrap(), fs::read(place.path("scores.csv")).unwrap());
    // Boundaries cost time, so only who asks for them has them.
    let plain = json(&place, "");
    assert!(plain.get("boundary_iou").is_none() && plain.get("boundaries").is_none());
    assert_eq!((&plain["kappa"], &plain["intervals"]), (&object["kappa"], &object["intervals"]));
    let table = place.app("validate --boundary").ok().stdout;
    for part in ["surface dice", "fw_iou", "kappa", "95 % intervals: bootstrap over 12 images"] {
        assert!(table.contains(part), "{part} in {table}");
    }
    let last = place.metrics("runs/tiny").pop().unwrap();
    for key in ["mean_precision", "mean_recall", "fw_iou", "kappa"] {
        assert_eq!(last[key], plain[key], "{key}");
    }
    assert_eq!(last["recall/circle"], plain["recall"]["circle"]);
}

#[test]
fn a_table_replaces_no_file_of_somebody_else_and_no_image() {
    let place = Place::new();
    let images = ["data/images", "data/masks"].map(|folder| place.path(folder));
    for folder in &images {
        fs::create_dir_all(folder).unwrap();
    }
    for number in 0..4u32 {
        let square = |x: u32, y: u32| x > 4 && x < 12 && y > 3 && y < 9 + number;
        let mask = GrayImage::from_fn(20, 16, |x, y| image::Luma([u8::from(square(x, y))]));
        let photograph = GrayImage::from_fn(20, 16, |x, y| image::Luma([if square(x, y) { 200 } else { 30 }]));
        mask.save(images[1].join(format!("{number}.png"))).unwrap();
        photograph.save(images[0].join(format!("{number}.png"))).unwrap();
    }
    let data = r#"--set data={"kind":"folders","root":"data","classes":["ground","square"],"size":[16,16]}"#;
    place.train(&format!("{data} --set train.epochs=1")).ok();
    fs::write(place.path("mine.csv"), "mine").unwrap();
    place.app("validate --csv mine.csv").refused(2, "--csv mine.csv is there: name another file, or add --overwrite");
    assert_eq!(fs::read_to_string(place.path("mine.csv")).unwrap(), "mine");
    place.app("validate --full --csv mine.csv --overwrite").ok();
    let written = rows(&place, "mine.csv");
    // At the masks' own size: 320 pixels an image.
    let validated: f64 = written.iter().map(|row| row["pixels"].as_f64().unwrap()).sum();
    assert_eq!(validated, 320.0 * written.len() as f64 / 2.0);
    let mask = fs::read(place.path("data/masks/0.png")).unwrap();
    let refused = |file: &str, says: &str| {
        place.app(&format!("validate --overwrite --csv {file}")).refused(2, says);
    };
    for number in 0..4 {
        // The validation's own are among them; the others are no table of ours to write either, but nobody reads them.
        let file = format!("data/masks/{number}.png");
        if written.iter().any(|row| row["name"].to_string().contains(&number.to_string())) {
            refused(&file, "is an image or mask");
        }
    }
    assert_eq!(fs::read(place.path("data/masks/0.png")).unwrap(), mask);
    refused("runs/tiny/metrics.jsonl", "is part of runs/tiny");
    refused("data", "is no file");
    refused("nowhere/scores.csv", "there is no folder nowhere");
    place.app("validate --tolerance 3").refused(2, "add --boundary or --csv");
    place.app("validate --boundary 0").refused(2, "a fraction of the image's diagonal");
    place.app("validate --tolerance=-1 --boundary").refused(2, "tolerance");
    place.app("validate --overwrite").refused(2, "--csv");
}

#[test]
fn a_missed_object_lowers_every_mean() {
    let place = Place::new();
    place.train("--set optimizer.learning_rate=0.02 --set train.epochs=8").ok();
    place.app("validate --csv scores.csv").ok();
    let rows = rows(&place, "scores.csv");
    let missed = |row: &&Value| row["pixels"] != 0.0 && row["predicted"] == 0.0;
    let invented = |row: &&Value| row["pixels"] == 0.0 && row["predicted"] != 0.0;
    let wrong: Vec<&Value> = rows.iter().filter(|row| missed(row) || invented(row)).collect();
    assert!(!wrong.is_empty(), "a network of 8 epochs misses something");
    let diagonal = 16f64.hypot(16.0);
    for row in wrong {
        for score in ["iou", "dice", "precision", "recall", "boundary_iou", "surface_dice"] {
            assert_eq!(row[score], 0.0, "{score} in {row}");
        }
        assert!(close(&row["hausdorff95"], diagonal), "{row}");
    }
    // A class that is in neither has no score that could count.
    for row in rows.iter().filter(|row| row["union"] == 0.0) {
        assert!(["iou", "precision", "recall", "hausdorff95", "surface_dice"].iter().all(|score| row[score] == ""));
    }
}

#[test]
fn two_runs_are_compared_image_by_image() {
    let place = Place::new();
    let many = "--set data.validation_samples=40";
    place.train(&format!("{many} --run runs/good --set train.epochs=12 --set optimizer.learning_rate=0.02")).ok();
    place.train(&format!("{many} --run runs/bad --set train.epochs=1 --set optimizer.learning_rate=1e-5")).ok();
    place.train(&format!("{many} --run runs/other --set train.epochs=1 --set data.seed=7")).ok();
    let ran = place.app("report --run runs/good --compare runs/bad runs/other").ok();
    let page = fs::read_to_string(place.path("runs/good/report.html")).unwrap();
    let better = "good is better than bad: mean IoU per image +0.";
    let refused = "good and other are not compared: the validation data differ (the mask of ";
    for said in [&ran.stderr, &page] {
        assert!(said.contains(better) && said.contains("paired test over 40 images"), "{said}");
        assert!(said.contains(refused), "{said}");
    }
    assert!(page.contains("by bootstrap over 40 images."));
    let said = place.app("report --run runs/bad --compare runs/good").ok().stderr;
    assert!(said.contains(better), "{said}");
    let said = place.app("report --run runs/bad --compare runs/bad").ok().stderr;
    assert!(said.contains("No difference shown between bad and bad: mean IoU per image +0.0000"), "{said}");
    // Whatever cannot be evaluated is said, and the page is written all the same.
    fs::remove_dir_all(place.path("runs/other/checkpoints")).unwrap();
    let said = place.app("report --run runs/good --compare runs/other").ok().stderr;
    assert!(said.contains("good and other are not compared: the latter could not be evaluated: "), "{said}");
}
