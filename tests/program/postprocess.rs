//! Post-processing that is chosen on the validation images, and applied.

use super::life::Life;
use super::support::{Place, TINY};
use image::{GrayImage, Luma, Rgb, RgbImage};
use postprocess::{Neighbours, Regions, Runs};
use serde_json::{Value, json};
use std::fs;
use std::thread::sleep;
use std::time::Duration;

/// Draws two bright squares in each image, in validation also bright specks that the masks do not have.
fn draw(place: &Place) {
    for folder in ["d/images", "d/masks"] {
        fs::create_dir_all(place.path(folder)).unwrap();
    }
    for number in 0..24u32 {
        let has_specks = number % 2 == 1;
        let (left, top) = (1 + number % 4, 2 + number % 3);
        let is_square = |x: u32, y: u32| {
            let large = (left..left + 12).contains(&x) && (top..top + 12).contains(&y);
            large || (20..29).contains(&x) && (20..29).contains(&y)
        };
        let is_speck = |x: u32, y: u32| has_specks && (x / 3, y / 3) == (7 + number % 3, 1 + number % 2);
        let color = |x: u32, y: u32| {
            let noise = ((x * 7 + y * 13 + number * 29) % 23) as u8;
            Rgb(if is_square(x, y) || is_speck(x, y) { [230, 200 + noise, 50] } else { [30 + noise, 40, 60] })
        };
        RgbImage::from_fn(32, 32, color).save(place.path(&format!("d/images/{number:02}.png"))).unwrap();
        let mask = GrayImage::from_fn(32, 32, |x, y| Luma([u8::from(is_square(x, y))]));
        mask.save(place.path(&format!("d/masks/{number:02}.png"))).unwrap();
    }
    for (list, first) in [("train", 0), ("validation", 1)] {
        let names: String = (first..24).step_by(2).map(|number| format!("{number:02}\n")).collect();
        fs::write(place.path(&format!("d/{list}.txt")), names).unwrap();
    }
}

/// Trains a network on the squares.
fn trained() -> Place {
    let place = Place::new();
    draw(&place);
    let mut config: Value = serde_json::from_str(TINY).unwrap();
    config["data"] = json!({"kind": "folders", "root": "d", "classes": ["ground", "square"], "size": [32, 32],
                            "split": {"train": "train.txt", "validation": "validation.txt"},
                            "loader": {"batch_size": 3}});
    fs::write(place.path("c.json"), config.to_string()).unwrap();
    let options = "--set train.epochs=12 --set optimizer.learning_rate=0.01";
    place.app(&format!("train --config c.json --run runs/squares {options}")).ok();
    place
}

fn object(place: &Place, arguments: &str) -> Value {
    serde_json::from_str(&place.app(arguments).ok().stdout).unwrap()
}

#[test]
fn a_step_that_helps_is_kept_and_one_that_hurts_is_not() {
    let place = trained();
    let before = object(&place, "validate --run runs/squares --full --json");
    let ran = place.app("tune-postprocessing --run runs/squares").ok();
    let line = |step: &str| ran.stdout.lines().find(|line| line.starts_with(step) && line.contains("square"));
    let of = |step: &str| line(step).unwrap_or_else(|| panic!("{step} in {}", ran.stdout)).to_owned();
    assert!(of("largest component").ends_with(" no") && of("minimum area").ends_with(" yes"), "{}", ran.stdout);

    let path = place.path("runs/squares/postprocessing.json");
    let file: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let square = &file["classes"][1];
    assert_eq!((&square["name"], &square["keep_largest"]), (&"square".into(), &false.into()));
    let least = square["min_area"].as_u64().unwrap();
    assert!((2..=81).contains(&least), "{file}");
    assert_eq!((&file["connectivity"], &file["chosen_on"]["images"]), (&4.into(), &12.into()));
    let checkpoint = place.checkpoints("runs/squares").pop().unwrap();
    let recorded = file["chosen_on"]["networks"][0]["checkpoint"].as_str().unwrap();
    assert!(checkpoint.ends_with(recorded), "{file}");

    // The scores that it records are those of the program without and with it.
    let after = object(&place, "validate --run runs/squares --full --json --postprocess auto");
    for (recorded, found) in [(&file["before"], &before), (&file["after"], &after)] {
        for key in ["mean_iou", "iou", "accuracy", "pixels"] {
            assert_eq!(recorded[key], found[key], "{key}");
        }
    }
    assert!(after["mean_iou"].as_f64() > before["mean_iou"].as_f64(), "{before} {after}");

    // So are those of single images and of boundaries.
    let full = "validate --run runs/squares --full --json --boundary";
    let [plain, cleaned] =
        ["", " --postprocess auto --csv table.csv"].map(|how| object(&place, &format!("{full}{how}")));
    assert_eq!((&plain["iou"], &cleaned["iou"]), (&before["iou"], &after["iou"]));
    assert!(cleaned["mean_surface_dice"].as_f64() > plain["mean_surface_dice"].as_f64(), "{plain} {cleaned}");
    let table = fs::read_to_string(place.path("table.csv")).unwrap();
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!((rows.len(), &rows[0][4..6]), (1 + 2 * 12, &["intersection", "union"][..]));
    let sum = |column: usize| {
        let squares = rows.iter().filter(|row| row[1] == "square");
        squares.map(|row| row[column].parse::<f64>().unwrap()).sum::<f64>()
    };
    assert!((sum(4) / sum(5) - after["iou"]["square"].as_f64().unwrap()).abs() < 1e-12, "{table}");

    // Class maps have no small component any more, in any mode; files of probabilities stay as they are.
    place.app("predict --run runs/squares --output plain --also npy d/images").ok();
    for (output, how) in [("auto", "auto"), ("named", "runs/squares/postprocessing.json")] {
        let options = format!("--postprocess {how} --also npy,overlay --json");
        let ran = place.app(&format!("predict --run runs/squares --output {output} {options} d/images")).ok();
        let mut changed = 0;
        for line in ran.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
            let name = line["name"].as_str().unwrap();
            let [plain, map] =
                ["plain", output].map(|folder| image::open(place.path(&format!("{folder}/{name}.png"))).unwrap());
            let (plain, map) = (plain.into_luma8(), map.into_luma8());
            changed += usize::from(plain != map);
            assert_eq!(line["classes"][1]["pixels"], map.pixels().filter(|pixel| pixel.0[0] == 1).count());
            let mut runs = Runs::new(map.width());
            runs.push(&map);
            let areas = Regions::of(&runs, Neighbours::Four, |class| class == 1);
            assert!(areas.areas().iter().all(|area| *area >= least), "{name}: {:?}", areas.areas());
            let npy = |folder: &str| fs::read(place.path(&format!("{folder}/{name}_probabilities.npy"))).unwrap();
            assert_eq!(npy("plain"), npy(output));
        }
        assert!(changed >= 6, "{changed} maps are changed");
    }
    // With several networks and scales, and into another file.
    let ensemble = "--ensemble runs/squares runs/squares --scales 1,1.5 --connectivity 8";
    let chosen = object(&place, &format!("tune-postprocessing {ensemble} --output both.json --json"));
    assert!(chosen["after"]["mean_iou"].as_f64() >= chosen["before"]["mean_iou"].as_f64());
    let ran = place.app("validate --run runs/squares --full --postprocess both.json").ok();
    assert!(ran.stderr.contains("both.json was chosen for another network"), "{}", ran.stderr);
    let replaced = "validate --run runs/squares --full --postprocess both.json --csv both.json --overwrite";
    place.app(replaced).refused(2, "is the file of --postprocess");
    let ran = place.app("validate --run runs/squares --full --mirror both --postprocess auto").ok();
    assert!(ran.stderr.contains("was chosen with other values of --tile"), "{}", ran.stderr);
}

#[test]
fn nothing_is_left_of_a_tuning_that_is_killed_and_nothing_foreign_is_replaced_or_applied() {
    let place = trained();
    let path = place.path("runs/squares/postprocessing.json");
    let names = || {
        let entries = fs::read_dir(place.path("runs/squares")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    for number in 0..6 {
        let life = Life::start(&place, "tune-postprocessing --run runs/squares");
        sleep(Duration::from_millis(40 * number));
        life.kill();
        if path.exists() {
            let file: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            assert_eq!(file["classes"][1]["name"], "square");
            fs::remove_file(&path).unwrap();
        }
        assert_eq!(names(), before);
    }
    place
        .app("predict --run runs/squares --output out --postprocess auto d/images")
        .refused(2, "there is no file runs/");
    place.app("tune-postprocessing --run runs/squares").ok();
    // Again, since it is ours; not once somebody has changed it.
    place.app("tune-postprocessing --run runs/squares").ok();
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"keep_largest\": false", "\"keep_largest\": true")).unwrap();
    place.app("predict --run runs/squares --output changed --postprocess auto d/images").ok();
    place.app("tune-postprocessing --run runs/squares").refused(2, "was changed since");
    place.app("tune-postprocessing --run runs/squares --overwrite").ok();
    let tune =
        |output: &str| place.app(&format!("tune-postprocessing --run runs/squares --overwrite --output {output}"));
    tune("runs/squares/config.json").refused(2, "is another file of a run");
    tune("d/masks/01.png").refused(2, "is an input");
    tune("nowhere/x.json").refused(2, "there is no folder nowhere");

    place.train("--run runs/shapes").ok();
    let foreign = "--postprocess runs/squares/postprocessing.json";
    let says = "is for the classes ground, square, and the network has background, circle, square, triangle";
    place.app(&format!("predict --run runs/shapes --output foreign {foreign} d/images")).refused(2, says);
    place.app("tune-postprocessing --run runs/shapes").refused(2, "the validation data are drawn and not files");
    for (text, says) in [
        ("{}", "is no post-processing that can be applied"),
        ("[1]", "is no post-processing that can be applied"),
        (&text.replace("\"version\": 1", "\"version\": 7")[..], "its version is 7, this program knows 1"),
        (&text.replace("\"connectivity\": 4", "\"connectivity\": 6")[..], "connectivity must be 4 or 8, is 6"),
    ] {
        fs::write(place.path("x.json"), text).unwrap();
        place.app("predict --run runs/squares --output x --postprocess x.json d/images").refused(2, says);
    }
    place.app("export --run runs/squares --formats safetensors --output saved/s/1").ok();
    place.app("predict --model saved/s/1 --output x --postprocess auto d/images").refused(2, "name the file");
    place.app("tune-postprocessing --model saved/s/1").refused(2, "with --output");
    assert!(!place.path("x").exists() && !place.path("foreign").exists());
    place.app("predict --model saved/s/1 --output x --postprocess runs/squares/postprocessing.json d/images").ok();
}
