//! Saved networks of strangers: nothing in them is executed, and they choose no place that is written to.

use super::support::Place;
use serde_json::{Value, json};
use std::fs;
use std::io::{Cursor, Read, Write};
use std::path::Path;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

fn description(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("model.json")).unwrap()).unwrap()
}

/// Replaces the code of `model.pt` by `code` and fixes the checksum, as an attacker can.
fn plant(folder: &Path, code: &str) {
    let mut archive = ZipArchive::new(Cursor::new(fs::read(folder.join("model.pt")).unwrap())).unwrap();
    let mut planted = ZipWriter::new(Cursor::new(Vec::new()));
    for number in 0..archive.len() {
        let mut file = archive.by_index_raw(number).unwrap();
        let (name, mut content) = (file.name().to_string(), Vec::new());
        file.read_to_end(&mut content).unwrap();
        // As libtorch writes them: numbers are mapped where they lie.
        let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        planted.start_file(&name, stored).unwrap();
        planted.write_all(if name.ends_with(".py") { code.as_bytes() } else { &content }).unwrap();
    }
    let bytes = planted.finish().unwrap().into_inner();
    fs::write(folder.join("model.pt"), &bytes).unwrap();
    let mut known = description(folder);
    known["files"]["model.pt"] = json!({"bytes": bytes.len(), "blake3": blake3::hash(&bytes).to_hex().to_string()});
    fs::write(folder.join("model.json"), known.to_string()).unwrap();
}

/// Returns a TorchScript program that returns its input and also does something else.
fn program(beside: &str) -> String {
    let head = "class Network(Module):\n  __parameters__ = []\n  __buffers__ = []\n";
    let function = "  def forward(self: __torch__.Network,\n    argument_1: Tensor) -> Tensor:\n";
    format!("{head}{function}{beside}    return argument_1\n")
}

#[test]
fn a_program_in_the_place_of_a_network_is_refused_and_writes_nothing() {
    let place = Place::new();
    place.train("--run runs/shapes").ok();
    place.app("export --run runs/shapes --output saved/1 --formats torchscript").ok();
    image::RgbImage::new(16, 16).save(place.path("a.png")).unwrap();
    place.app("predict --model saved/1 --output fine a.png").ok();
    let folder = place.path("saved/1");
    let target = place.path("planted");
    for beside in [
        format!("    x = torch.from_file(\"{}\", True, 4)\n", target.display()),
        format!("    x = torch.save(argument_1, \"{}\")\n", target.display()),
        format!("    torch.save(argument_1, \"{}\")\n", target.display()),
    ] {
        plant(&folder, &program(&beside));
        for command in ["predict --model saved/1 --output out a.png", "validate --model saved/1"] {
            place.app(command).refused(1, "model.pt is not run, for it is no model.pt as oxiseg saves it: line ");
        }
    }
    assert!(!target.exists() && !place.path("out").exists());
    // Code that runs while a file is loaded is refused, too.
    let state =
        "  def __setstate__(self, state: Tensor) -> NoneType:\n    torch.save(state, \"planted\")\n    return None\n";
    plant(&folder, &format!("{}{state}", program("")));
    place.app("predict --model saved/1 --output out a.png").refused(1, "model.pt is not run");
    assert!(!target.exists() && !place.path("out").exists());
}

#[test]
fn the_weights_are_enough_and_model_pt_is_left_alone() {
    let place = Place::new();
    place.train("--run runs/shapes").ok();
    place.app("export --run runs/shapes").ok();
    let folder = place.path("saved_models/shapes/1");
    let validate = |which: &str| -> Value {
        serde_json::from_str(&place.app(&format!("validate {which} --json")).ok().stdout).unwrap()
    };
    let expected = validate("--run runs/shapes");
    plant(&folder, &program("    x = torch.save(argument_1, \"planted\")\n"));
    let found = validate("--model saved_models/shapes/1");
    for score in ["loss", "accuracy", "mean_iou", "iou", "dice"] {
        assert_eq!(found[score], expected[score], "{score}");
    }
    fs::write(folder.join("model.pt"), "").unwrap();
    assert_eq!(validate("--model saved_models/shapes/1"), found);
    // Weights of 16 bits are close, and a model.pt with f32 weights is the same but for rounding.
    let close = |more: &str, tolerance: f64| {
        let version = place.app(&format!("export --run runs/shapes {more}")).ok().stdout;
        let found = validate(&format!("--model {}", version.trim()));
        let [found, expected] = [&found, &expected].map(|object| object["accuracy"].as_f64().unwrap());
        assert!((found - expected).abs() <= tolerance, "{more}: {found} and {expected}");
    };
    close("--formats safetensors --set export.weights=bf16", 0.05);
    close("--formats safetensors --set export.weights=fp16", 0.01);
    close("--formats torchscript", 0.001);
    assert!(!place.path("planted").exists());
}

#[test]
fn a_strangers_description_does_not_choose_where_a_cache_is_written() {
    let place = Place::new();
    let disk =
        format!("--set data.loader.cache=disk --set data.loader.cache_folder={}", place.path("theirs").display());
    place.train(&format!("--run runs/shapes {disk}")).ok();
    place.app("export --run runs/shapes").ok();
    let config = &description(&place.path("saved_models/shapes/1"))["run"]["about"]["config"];
    assert!(config["data"]["loader"]["cache_folder"].as_str().unwrap().ends_with("theirs"));
    let checkpoint = place.checkpoints("runs/shapes").pop().unwrap().display().to_string();
    fs::remove_dir_all(place.path("theirs")).unwrap();
    image::RgbImage::new(16, 16).save(place.path("a.png")).unwrap();
    for which in ["--model saved_models/shapes/1".to_string(), format!("--checkpoint {checkpoint}")] {
        place.app(&format!("validate {which}")).ok();
        place.app(&format!("predict {which} --output out a.png")).ok();
        assert!(!place.path("theirs").exists(), "{which}");
        let mine =
            format!("--set data.loader.cache=disk --set data.loader.cache_folder={}", place.path("mine").display());
        place.app(&format!("validate {which} {mine}")).ok();
        assert!(place.path("mine").exists());
        fs::remove_dir_all(place.path("mine")).unwrap();
    }
    // One's own run may write to the places that it names.
    place.app("validate --run runs/shapes").ok();
    assert!(place.path("theirs").exists());
}

#[test]
fn parallel_exports_take_a_number_each_and_what_a_killed_one_left_is_removed() {
    let place = Place::new();
    place.train("--run runs/shapes").ok();
    let left = place.path("saved_models/shapes/.1.4294967295.partial");
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("model.pt"), "half").unwrap();
    let export = || place.command("export --run runs/shapes --formats torchscript").output();
    let made = std::thread::scope(|scope| {
        let all: Vec<_> = (0..3).map(|_| scope.spawn(export)).collect();
        all.into_iter()
            .map(|one| super::support::Ran::new(one.join().unwrap().unwrap()).ok().stdout)
            .collect::<Vec<_>>()
    });
    let mut made: Vec<&str> = made.iter().map(|line| line.trim()).collect();
    made.sort_unstable();
    assert_eq!(made, ["saved_models/shapes/1", "saved_models/shapes/2", "saved_models/shapes/3"]);
    let mut names: Vec<_> = fs::read_dir(place.path("saved_models/shapes"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["1", "2", "3", "config.pbtxt"]);
}
