//! Annotations of other tools: trained on, converted to class maps and back, against the masks of the tools themselves.

mod bad;
mod sets;

use super::support::{Place, Ran};
use annotation::{Rle, Size};
use image::GrayImage;
use serde_json::{Value, json};
use sets::{Case, coco_file, draw, half, labelme_file, squares, yolo_text};
use std::fs;

fn map(place: &Place, name: &str) -> GrayImage {
    image::open(place.path(name)).unwrap().into_luma8()
}

fn trained(place: &Place, config: &str) -> Ran {
    assert!(config.lines().count() < 25);
    fs::write(place.path("config.json"), config).unwrap();
    place.app("train --config config.json --run run").ok()
}

fn score(ran: &Ran) -> f64 {
    let value: Value = serde_json::from_str(&ran.stdout).unwrap();
    value["mean_iou"].as_f64().or_else(|| value["scores"]["mean_iou"].as_f64()).unwrap_or_else(|| panic!("{value}"))
}

/// Validates, predicts and exports the run, and checks that it learnt.
fn used(here: &Place) {
    let scored = here.app("validate --run run --json").ok();
    assert!(score(&scored) > 0.9, "{}", scored.stdout);
    let full = here.app("validate --run run --full --json").ok();
    assert!(score(&full) > 0.9, "{}", full.stdout);
    here.app("predict set/images --run run --output out").ok();
    let legend: Value = serde_json::from_slice(&fs::read(here.path("out/classes.json")).unwrap()).unwrap();
    let names: Vec<&str> = legend.as_array().unwrap().iter().map(|class| class["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["background", "light", "dark"]);
    here.app("export --run run --output saved/1 --formats torchscript,safetensors").ok();
    assert!(here.path("saved/1/model.pt").is_file());
    here.app("report --run run").ok();
    let stats = here.app("data stats --config config.json --json").ok();
    let stats: Value = serde_json::from_str(&stats.stdout).unwrap();
    assert_eq!(stats["splits"][0]["classes"][2]["name"], "dark", "{stats}");
    here.app("data preview --config config.json --output sheets --epochs 1").ok();
}

const COCO: &str = r#"{
  "data": {
    "kind": "coco",
    "root": "set",
    "annotations": "instances.json",
    "size": [32, 32],
    "channels": 1,
    "transforms": [{ "kind": "horizontal_flip" }],
    "split": { "validation_fraction": 0.25 },
    "loader": { "batch_size": 4, "cache": "memory" }
  },
  "model": { "kind": "unet", "width": 8, "depth": 2 },
  "optimizer": { "learning_rate": 0.01 },
  "train": { "epochs": 12, "threads": 1, "device": "cpu" },
  "export": { "at_end": false }
}"#;

#[test]
fn a_set_of_coco_trains_validates_predicts_and_exports() {
    let here = Place::new();
    draw(&here.path("set/images"), 16);
    let file = coco_file(16).to_string();
    fs::write(here.path("set/instances.json"), &file).unwrap();
    trained(&here, COCO);
    used(&here);
    // The run has its classes itself, and its data are those of the same annotations.
    let own: Value = serde_json::from_slice(&fs::read(here.path("run/config.json")).unwrap()).unwrap();
    assert_eq!(own["data"]["classes"], json!(["background", "light", "dark"]));
    here.app("train --config config.json --run run --set train.epochs=13").ok();
    fs::write(here.path("set/instances.json"), file.replacen("[[2.0,", "[[3.0,", 1)).unwrap();
    let again = here.app("train --config config.json --run run --set train.epochs=14");
    assert!(again.status == 2 && again.stderr.contains("--allow data."), "{}", again.stderr);
    fs::write(here.path("set/instances.json"), file.replace("dark", "shade")).unwrap();
    here.app("train --config config.json --run run --set train.epochs=14").refused(2, "data.classes");
    fs::rename(here.path("set/instances.json"), here.path("set/moved.json")).unwrap();
    here.app("predict set/images/00.png --run run --output elsewhere").ok();
}

const YOLO: &str = r#"{
  "data": {
    "kind": "yolo",
    "root": "set",
    "annotations": "labels",
    "size": [32, 32],
    "channels": 1,
    "transforms": [],
    "split": { "train": "train", "validation": "val" },
    "loader": { "batch_size": 4, "cache": "disk", "cache_folder": "cache" }
  },
  "model": { "kind": "unet", "width": 8, "depth": 2 },
  "optimizer": { "learning_rate": 0.01 },
  "train": { "epochs": 14, "threads": 1, "device": "cpu" },
  "export": { "at_end": false }
}"#;

#[test]
fn a_set_of_yolo_trains_validates_predicts_and_exports() {
    let here = Place::new();
    for (part, count) in [("train", 12), ("val", 4)] {
        draw(&here.path(&format!("set/images/{part}")), count);
        fs::create_dir_all(here.path(&format!("set/labels/{part}"))).unwrap();
        for number in 0..count {
            fs::write(here.path(&format!("set/labels/{part}/{number:02}.txt")), yolo_text(&squares(number))).unwrap();
        }
    }
    fs::write(here.path("set/data.yaml"), "path: .\nnames:\n  0: light\n  1: dark\n").unwrap();
    trained(&here, YOLO);
    used(&here);
    // A cache of other annotations is made anew.
    let cache = |ran: Ran| ran.stderr.lines().filter(|line| line.contains("Making the cache")).count();
    assert_eq!(cache(here.app("validate --run run").ok()), 0);
    fs::write(here.path("set/labels/val/00.txt"), yolo_text(&squares(1))).unwrap();
    assert_eq!(cache(here.app("validate --run run").ok()), 1);
}

/// Converts shapes, each on an image of its own, and compares the class maps with the masks of the tool.
fn paints(kind: &str, cases: &[Case], annotations: impl Fn(&Place) -> String) {
    let here = Place::new();
    fs::create_dir(here.path("images")).unwrap();
    for case in cases {
        GrayImage::new(case.width, case.height).save(here.path(&format!("images/{}.png", case.name))).unwrap();
    }
    let source = annotations(&here);
    let ran = here.app(&format!("data convert --from {kind} {source} --images images --output maps"));
    assert!(ran.status == 0, "{kind}: {}", ran.stderr);
    for case in cases {
        let size = Size::new(case.width.into(), case.height.into()).unwrap();
        let expected = Rle::from_string(size, &case.mask).unwrap().to_patch().to_map(size);
        assert_eq!(map(&here, &format!("maps/{}.png", case.name)).into_raw(), expected, "{kind} {}", case.name);
    }
}

#[test]
fn class_maps_are_those_of_the_tools() {
    let cases = sets::cases("coco", |case| case["area"].as_u64() > Some(0));
    assert!(cases.len() > 30);
    paints("coco", &cases, |here| {
        let image = |(id, case): (usize, &Case)| {
            let name = format!("{}.png", case.name);
            json!({"id": id, "file_name": name, "width": case.width, "height": case.height})
        };
        let shape = |(id, case): (usize, &Case)| {
            let polygons = [case.points.concat()];
            json!({"id": id, "image_id": id, "category_id": 5, "segmentation": polygons})
        };
        let file = json!({
            "images": cases.iter().enumerate().map(image).collect::<Vec<_>>(),
            "annotations": cases.iter().enumerate().map(shape).collect::<Vec<_>>(),
            "categories": [{"id": 5, "name": "thing"}]
        });
        fs::write(here.path("instances.json"), file.to_string()).unwrap();
        "instances.json".into()
    });
    // CVAT's polygons get COCO's pixels, and so do Label Studio's.
    paints("cvat", &cases, |here| {
        let points = |case: &Case| case.points.iter().map(|[x, y]| format!("{x},{y}")).collect::<Vec<_>>().join(";");
        let image = |case: &Case| {
            let (Case { name, width, height, .. }, points) = (case, points(case));
            let polygon = format!(r#"<polygon label="thing" points="{points}" z_order="0"/>"#);
            format!(r#"<image id="0" name="{name}.png" width="{width}" height="{height}">{polygon}</image>"#)
        };
        let images: Vec<String> = cases.iter().map(image).collect();
        fs::write(here.path("cvat.xml"), format!("<annotations>{}</annotations>", images.concat())).unwrap();
        "cvat.xml".into()
    });
    // Percents are rounded: those that do not come back are left out.
    let percent = |value: f64, length: u32| value / f64::from(length) * 100.0;
    let exact = |case: &&Case| {
        let lengths = [case.width, case.height];
        let back = |axis: usize, value: f64| percent(value, lengths[axis]) / 100.0 * f64::from(lengths[axis]) == value;
        case.points.iter().all(|point| back(0, point[0]) && back(1, point[1]))
    };
    let some: Vec<Case> = cases.iter().filter(exact).cloned().collect();
    assert!(some.len() > 5, "{}", some.len());
    paints("label_studio", &some, |here| {
        let task = |case: &Case| {
            let points = case.points.iter().map(|[x, y]| [percent(*x, case.width), percent(*y, case.height)]);
            let value = json!({"points": points.collect::<Vec<_>>(), "polygonlabels": ["thing"]});
            let region = json!({"id": "r", "type": "polygonlabels", "original_width": case.width,
                                "original_height": case.height, "value": value});
            let address = format!("/data/{}.png", case.name);
            json!({"id": 1, "data": {"image": address}, "annotations": [{"result": [region]}]})
        };
        let tasks: Vec<Value> = some.iter().map(task).collect();
        fs::write(here.path("studio.json"), json!(tasks).to_string()).unwrap();
        "studio.json".into()
    });
    let shapes = sets::cases("labelme", |case| case["mask"] != json!("") && sets::meets(case));
    assert!(shapes.len() > 100);
    paints("labelme", &shapes, |here| {
        fs::create_dir(here.path("json")).unwrap();
        for case in &shapes {
            fs::write(here.path(&format!("json/{}.json", case.name)), labelme_file(case).to_string()).unwrap();
        }
        "json".into()
    });
    // OpenCV truncates corners; the middle of a pixel comes back to it from relative coordinates.
    let inside = |case: &Value| {
        let length = |key: &str| case[key].as_f64().unwrap();
        sets::points(case).iter().all(|[x, y]| *x >= 0.0 && *y >= 0.0 && *x < length("width") && *y < length("height"))
    };
    let texts = sets::cases("opencv", inside);
    assert!(texts.len() > 20, "{}", texts.len());
    paints("yolo", &texts, |here| {
        fs::create_dir(here.path("labels")).unwrap();
        fs::write(here.path("data.yaml"), "names: [thing]").unwrap();
        for case in &texts {
            let lengths = [case.width, case.height].map(f64::from);
            let middles =
                case.points.iter().flat_map(|point| [0, 1].map(|axis| (point[axis].trunc() + 0.5) / lengths[axis]));
            let words: Vec<String> = middles.map(|value| format!("{value:.9}")).collect();
            fs::write(here.path(&format!("labels/{}.txt", case.name)), format!("0 {}\n", words.join(" "))).unwrap();
        }
        "labels".into()
    });
}

#[test]
fn class_maps_become_annotations_and_come_back() {
    let here = Place::new();
    draw(&here.path("images"), 5);
    fs::write(here.path("instances.json"), coco_file(5).to_string()).unwrap();
    here.app("data convert --from coco instances.json --images images --output maps").ok();
    here.app("data convert --to coco maps --images images --output back.json").ok();
    here.app("data convert --from coco back.json --images images --output again").ok();
    for number in 0..5 {
        let name = format!("{number:02}.png");
        assert_eq!(map(&here, &format!("maps/{name}")), map(&here, &format!("again/{name}")));
        assert_eq!(map(&here, &format!("maps/{name}")).into_raw(), half(number));
    }
    let legend = |folder: &str| fs::read_to_string(here.path(folder).join("classes.json")).unwrap();
    assert_eq!(legend("maps"), legend("again"));
    // A hole is kept, as run lengths; names come from a list; class maps give the file names.
    let mut ring = GrayImage::from_pixel(9, 9, image::Luma([2]));
    ring.put_pixel(4, 4, image::Luma([0]));
    fs::create_dir(here.path("rings")).unwrap();
    ring.save(here.path("rings/r.png")).unwrap();
    fs::write(here.path("names.txt"), "cat\ndog\n").unwrap();
    here.app("data convert --to coco rings --names names.txt --output rings.json").ok();
    let file: Value = serde_json::from_slice(&fs::read(here.path("rings.json")).unwrap()).unwrap();
    assert_eq!(file["categories"][1]["name"], "dog");
    assert_eq!(file["images"][0]["file_name"], "r.png");
    assert_eq!(file["annotations"][0]["area"], 80);
    here.app("data convert --from coco rings.json --images rings --output rings/back").ok();
    assert_eq!(map(&here, "rings/back/r.png"), ring);
}

#[test]
fn what_somebody_else_made_is_not_replaced() {
    let here = Place::new();
    draw(&here.path("images"), 2);
    fs::write(here.path("instances.json"), coco_file(2).to_string()).unwrap();
    let convert = |more: &str| here.app(&format!("data convert --from coco instances.json --images images {more}"));
    convert("--output maps").ok();
    convert("--output maps").ok();
    let own = fs::read(here.path("maps/00.png")).unwrap();
    map(&here, "maps/00.png").save(here.path("maps/00.png")).unwrap();
    convert("--output maps").refused(2, "not made by this program, or changed since");
    convert("--output maps --overwrite").ok();
    assert_eq!(fs::read(here.path("maps/00.png")).unwrap(), own);
    convert("--output images --overwrite").refused(2, "is an input");
    fs::write(here.path("maps/classes.json"), "[]").unwrap();
    convert("--output maps").refused(2, "classes.json is there and says something else");
    fs::write(here.path("theirs.json"), "{}").unwrap();
    convert("--output maps --overwrite").ok();
    here.app("data convert --to coco maps --output theirs.json").refused(2, "is there and says something else");
    here.app("data convert --to coco maps --output maps/01.png --overwrite").refused(2, "is an input");
    here.app("data convert --to coco maps --output mine.json").ok();
    here.app("data convert --to coco maps --output mine.json").ok();
    let partial = fs::read_dir(here.path("maps"))
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains("partial"));
    assert_eq!(partial.count(), 0);
}
