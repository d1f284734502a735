//! `app export`: what others get of a trained network.

use super::support::Place;
use serde_json::Value;
use std::fs;
use tch::{CModule, Device, Kind, Tensor};

const NORMALIZED: &str = r#"--set data.normalize={"mean":[0.5,0.4,0.3],"std":[0.2,0.3,0.4]}"#;

#[test]
fn a_saved_network_is_a_triton_model_that_gives_what_validation_saw() {
    let place = Place::new();
    place.train(&format!("--run runs/shapes {NORMALIZED}")).ok();
    let ran = place.app("export --run runs/shapes").ok();
    assert_eq!(ran.stdout.trim(), "saved_models/shapes/1");
    assert_eq!(place.app("export --run runs/shapes --checkpoint best").ok().stdout.trim(), "saved_models/shapes/2");
    let triton = fs::read_to_string(place.path("saved_models/shapes/config.pbtxt")).unwrap();
    assert!(triton.contains("pytorch_libtorch") && triton.contains("dims: [ -1, 4, -1, -1 ]"), "{triton}");
    let folder = place.path("saved_models/shapes/1");
    let saved: Value = serde_json::from_slice(&fs::read(folder.join("model.json")).unwrap()).unwrap();
    assert_eq!(saved["classes"][1], serde_json::json!({"id": 1, "name": "circle", "color": "#56b4e9"}));
    assert_eq!((&saved["normalize"]["mean"][1], &saved["size"][0]), (&0.4.into(), &16.into()));
    assert_eq!(saved["parity"]["model.pt"]["samples"], 12);
    assert_eq!(saved["parity"]["model.pt"]["class_agreement"], 1.0);
    assert_eq!(saved["scores"]["mean_iou"], place.metrics("runs/shapes").last().unwrap()["mean_iou"]);
    // A picture as others have it, in its own size: the class map is that of predict.
    let script = CModule::load(folder.join("model.pt")).unwrap();
    let picture = image::RgbImage::from_fn(16, 16, |x, y| image::Rgb([(x * 16) as u8, (y * 16) as u8, 128]));
    picture.save(place.path("a.png")).unwrap();
    place.app("predict --run runs/shapes --output out a.png").ok();
    let expected = image::open(place.path("out/a.png")).unwrap().into_luma8().into_raw();
    let values =
        Tensor::from_slice(picture.as_raw()).view([1, 16, 16, 3]).permute([0, 3, 1, 2]).to_kind(Kind::Float) / 255.0;
    let found = script.forward_ts(&[&values]).unwrap().argmax(1, false).flatten(0, -1);
    assert_eq!(Vec::<i64>::try_from(found).unwrap(), expected.iter().map(|id| i64::from(*id)).collect::<Vec<_>>());
    // Any number of images, and other sizes.
    let many = Tensor::rand([3, 3, 32, 48], (Kind::Float, Device::Cpu));
    assert_eq!(script.forward_ts(&[many]).unwrap().size(), [3, 4, 32, 48]);
    // The weights start a new run.
    let weights = folder.join("model.safetensors");
    let start = format!(r#"--run again --set model.weights={{"path":"{}"}}"#, weights.display());
    assert!(place.train(&start).ok().stderr.contains("Starting from"));
}

#[test]
fn nothing_is_published_over_another_version_or_network() {
    let place = Place::new();
    place.train("--run runs/shapes").ok();
    place.app("export --run runs/shapes --output out/7").ok();
    place
        .app("export --run runs/shapes --output out/7")
        .refused(2, "out/7 exists already, and a version never changes: take 8");
    place.app("export --run runs/shapes --output out/last").refused(2, "a version is a number");
    place.train("--run runs/grey --set data.kind=shapes --set model.width=2").ok();
    fs::write(place.path("out/config.pbtxt"), "of another").unwrap();
    place.app("export --run runs/grey --output out/8").refused(2, "other inputs or outputs");
    assert!(!place.path("out/8").exists());
    let hidden = fs::read_dir(place.path("out"))
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with('.'));
    assert_eq!(hidden.count(), 0);
}
