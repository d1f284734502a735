//! Bad input is named, and ends with the status of its kind.

use super::super::support::Place;
use super::sets::{coco_file, draw};
use serde_json::{Value, json};
use std::fs;

/// Makes a set of four images whose file was changed.
fn changed(change: impl Fn(&mut Value)) -> Place {
    let here = Place::new();
    draw(&here.path("set/images"), 4);
    let mut file = coco_file(4);
    change(&mut file);
    fs::write(here.path("set/all.json"), file.to_string()).unwrap();
    fs::write(here.path("config.json"), CONFIG).unwrap();
    here
}

const CONFIG: &str = r#"{
  "data": { "kind": "coco", "root": "set", "annotations": "all.json", "size": [32, 32], "channels": 1,
            "split": { "validation_fraction": 0.5 }, "loader": { "batch_size": 2 } },
  "model": { "kind": "unet", "width": 4, "depth": 2 },
  "train": { "epochs": 1, "threads": 1, "device": "cpu" },
  "export": { "at_end": false }
}"#;

type Change = fn(&mut Value);

#[test]
fn an_annotation_that_cannot_be_used_is_named_everywhere() {
    let cases: [(Change, &str, bool); 8] = [
        (|file| file["annotations"][0]["segmentation"] = json!([[1, 1, 5, 5]]), "the polygon has 2 points", false),
        (
            |file| file["annotations"][0]["segmentation"] = json!([[40, 1, 45, 5, 40, 5]]),
            "is outside its image of 32 × 32 pixels",
            false,
        ),
        (|file| file["annotations"][0]["category_id"] = json!(77), "category 77 is not in the list", true),
        (|file| file["annotations"][0]["image_id"] = json!(77), "image id 77 is not in the file's list", false),
        (|file| file["annotations"][1]["id"] = json!(0), "this id stands in the file twice", false),
        (|file| file["annotations"][0]["segmentation"] = json!([[1, 1, 5, 5, 9]]), "5 coordinates", true),
        (|file| file["annotations"][0]["segmentation"] = json!([]), "no segmentation, only a box", false),
        (
            |file| file["annotations"][0]["segmentation"] = json!({"size": [9, 9], "counts": [81]}),
            "the annotation is for 9 × 9 pixels, but the image has 32 × 32",
            true,
        ),
    ];
    for (change, says, is_wrong) in cases {
        let here = changed(change);
        let check = here.app("data check --config config.json --json");
        let findings: Value = serde_json::from_str(&check.stdout).unwrap();
        let of_it = findings["findings"].as_array().unwrap().iter();
        let mut of_it = of_it.filter(|finding| finding["message"].as_str().unwrap().contains(says));
        let severity = if is_wrong { "error" } else { "warning" };
        assert_eq!(of_it.next().unwrap_or_else(|| panic!("{says}: {findings}"))["severity"], severity, "{says}");
        assert_eq!(check.status, i32::from(is_wrong), "{says}");
        let convert = here.app("data convert --from coco set/all.json --images set/images --output maps");
        assert!(convert.stderr.contains(says), "{}", convert.stderr);
        assert_eq!(convert.status, i32::from(is_wrong), "{says}");
        assert!(here.path("maps/03.png").is_file());
    }
    let here = changed(cases[2].0);
    let trained = here.app("train --config config.json --run run").ok();
    assert!(trained.stderr.contains("category 77 is not in the list of categories; the annotation is left out"));
}

#[test]
fn a_file_that_cannot_be_used_ends_every_command() {
    let cases: [(Change, &str, i32); 6] = [
        (
            |file| file["images"][0]["file_name"] = json!("gone.png"),
            "that the annotation files name and that are not",
            1,
        ),
        (|file| file["images"][0]["width"] = json!(31), "31", 1),
        (|file| file["categories"][0]["id"] = json!(3), "two categories have the id 3", 2),
        (|file| file["categories"][0]["name"] = json!("light"), "has the name 'light', as the class 1 has", 2),
        (|file| file["categories"] = json!("none"), "cannot be read as COCO's instances", 2),
        (|file| *file = json!([1]), "is a list, as COCO's results are", 2),
    ];
    for (change, says, status) in cases {
        let here = changed(change);
        here.app("train --config config.json --run run").refused(status, says);
        assert!(!here.path("run/checkpoints").exists());
    }
    let here = changed(|_| ());
    for (kind, says) in [
        ("cvat", "cannot be read as CVAT for images 1.1"),
        ("labelme", "cannot be read as LabelMe's annotation"),
        ("label_studio", "cannot be read as Label Studio's export"),
        ("yolo", "looked for the list of the categories' names"),
    ] {
        fs::write(here.path("other.json"), CONFIG.replace("\"coco\"", &format!("\"{kind}\""))).unwrap();
        here.app("train --config other.json --run run").refused(2, says);
    }
    for (set, status, says) in [
        ("data.annotations=other.json", 2, "looked for the file or folder of annotations"),
        ("data.images=pictures", 2, "looked for the folder of images"),
        ("data.names=a.txt", 2, "data.names: has no effect"),
        ("data.slices=z", 2, "data.slices: is for masks in files"),
        ("data.classes=[\"a\",\"b\"]", 1, "data.classes: names 2 classes"),
        ("data.annotations=null", 2, "data.annotations: must name the file or folder"),
    ] {
        here.app(&format!("train --config config.json --run run --set {set}")).refused(status, says);
    }
}

#[test]
fn conversions_that_cannot_work_say_why() {
    let here = changed(|_| ());
    fs::create_dir(here.path("empty")).unwrap();
    fs::write(here.path("empty/classes.json"), "[]").unwrap();
    for (arguments, status, says) in [
        ("set/all.json --output maps", 2, "--from <TOOL>|--to <KIND>"),
        ("--from coco set/all.json --output maps", 2, "--images"),
        ("--from coco --to coco set/all.json --images set/images --output maps", 2, "cannot be used with"),
        ("--from voc set/all.json --images set/images --output maps", 2, "possible values: coco, labelme, yolo"),
        ("--from yolo set/all.json --images set/images --output maps", 2, "no data.yaml in"),
        ("--from coco set/images --images set/images --output maps", 2, "looked for the annotation files at"),
        ("--from coco set/all.json --images pictures --output maps", 2, "looked for the folder of images at"),
        ("--to coco set/images --output out.json", 2, "which would name the classes"),
        ("--to coco empty --output out.json", 2, "no class map (.png) in empty"),
        ("--to coco set/images --names set/none.txt --output out.json", 2, "reading set/none.txt"),
    ] {
        here.app(&format!("data convert {arguments}")).refused(status, says);
    }
    fs::write(here.path("names.txt"), "cat\n").unwrap();
    here.app("data convert --to coco set/images --names names.txt --output out.json").refused(1, "pixels of class");
    fs::write(here.path("set/images/00.png"), b"no image").unwrap();
    assert_eq!(here.app("data convert --from coco set/all.json --images set/images --output maps").status, 1);
    assert!(!here.path("maps").exists());
}
