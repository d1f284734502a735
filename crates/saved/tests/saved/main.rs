//! A small network is saved, opened and used, and whatever is no saved network is refused.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod hostile;
mod images;
mod serve;

use contract::Stateful;
use data::Color;
use export::Format;
use model::{Config, Precision};
use saved::{Agreement, Description, Image, Model, Origin, normalized, write_weights};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tch::nn::{ModuleT, VarStore};
use tch::{Device, Kind, Tensor};
use tempfile::TempDir;

/// Side of the images that the network was trained on.
const SIDE: u32 = 16;

/// A network in a folder of its own, and the live one.
struct Place {
    folder: TempDir,
    network: Box<dyn ModuleT>,
}

/// Returns the `data` section of a configuration, with `changes`.
fn data(changes: Value) -> Value {
    let mut data = json!({
        "kind": "folders",
        "root": "nowhere",
        "size": [SIDE, SIDE],
        "classes": ["sky", {"name": "cat", "color": "#102030"}, "dog"],
        "normalize": {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]},
        "loader": {"batch_size": 2},
    });
    data.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    data
}

impl Place {
    /// Saves a network of random weights in `formats`, for the `data` section.
    fn new(data: &Value, formats: &[Format], weights: Kind) -> Self {
        // Trained in bf16, which the saved network does not compute in.
        let model = json!({"kind": "unet", "width": 4, "depth": 2, "precision": "bf16"});
        Self::with(&json!({"format": 2, "data": data, "model": model, "train": {"epochs": 3}}), formats, weights)
    }

    fn with(config: &Value, formats: &[Format], weights: Kind) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data: data::Config = serde_json::from_value(config["data"].clone()).unwrap();
        let mut in_f32 = config["model"].clone();
        in_f32["precision"] = serde_json::to_value(Precision::Fp32).unwrap();
        let model: Config = serde_json::from_value(in_f32).unwrap();
        let mut store = VarStore::new(Device::Cpu);
        let network = model.build(&store, data.channels().into(), data.classes().len() as i64).unwrap();
        store.freeze();
        // Tests run at once, and libtorch has one random generator for all of them.
        for (name, tensor) in store.state() {
            let count = tensor.numel() as i64;
            let noise = (Tensor::arange(count, (Kind::Float, Device::Cpu)) * 12.9898 + count as f64).sin() * 43_758.5;
            let fan_in = count as f64 / tensor.size()[0] as f64;
            let value = match name.rsplit('.').next() {
                Some("running_var") => noise.frac().abs() + 0.5,
                Some("weight") if tensor.dim() == 4 => noise.frac() * (3.0 / fan_in).sqrt(),
                Some("weight") => noise * 0.0 + 1.0,
                _ => noise * 0.0,
            };
            tensor.shallow_clone().copy_(&value.view_as(&tensor));
        }
        let network: Box<dyn ModuleT> = Box::new(normalized(network, &data, Device::Cpu).unwrap());
        for format in formats {
            let path = folder.path().join(format.file());
            if *format == Format::Safetensors {
                write_weights(&path, &store.state(), weights).unwrap();
            } else {
                let example = Tensor::zeros([1, data.channels().into(), 64, 64], (Kind::Float, Device::Cpu));
                export::torchscript(&export::follow(network.as_ref(), &example).unwrap(), &path).unwrap();
            }
        }
        let mut about = json!({ "config": config });
        about["oxiseg"] = "0.1.0".into();
        let run = Origin { checkpoint: "runs/x/checkpoints/step-9".into(), epoch: 3, step: 9, about };
        let scores = BTreeMap::from([("mean_iou".into(), 0.5), ("iou/dog".into(), f64::NAN)]);
        let mut description = Description::new(&data, &scores, run);
        let agreement =
            Agreement { samples: 1, class_agreement: 1.0, max_error: 0.0, largest_logit: 2.5, mean_iou: None };
        description.parity =
            BTreeMap::from([("model.safetensors".into(), Some(agreement)), ("model.onnx".into(), None)]);
        description.write(folder.path()).unwrap();
        Self { folder, network }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn open(&self) -> Result<Model, saved::Error> {
        Model::open_on(self.folder.path(), Device::Cpu)
    }

    fn refused(&self) -> String {
        self.open().unwrap_err().to_string()
    }

    /// Changes `model.json`, as an attacker can.
    fn edit(&self, change: impl FnOnce(&mut Value)) {
        let mut description: Value = serde_json::from_slice(&fs::read(self.path("model.json")).unwrap()).unwrap();
        change(&mut description);
        fs::write(self.path("model.json"), description.to_string()).unwrap();
    }

    /// Replaces a file and fixes its checksum, as an attacker can.
    fn plant(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
        let sum = json!({"bytes": bytes.len(), "blake3": blake3::hash(bytes).to_hex().to_string()});
        self.edit(|description| description["files"][name] = sum);
    }

    /// Returns the live network's probabilities `[K, H, W]` for an image in memory.
    fn expected(&self, [height, width, channels]: [u32; 3], bytes: &[u8]) -> Tensor {
        let image_hwc = Tensor::from_slice(bytes).view([height, width, channels].map(i64::from));
        let image_nchw = image_hwc.permute([2, 0, 1]).unsqueeze(0).to_kind(Kind::Float) / 255.0;
        self.network.forward_t(&image_nchw, false).softmax(1, Kind::Float).squeeze_dim(0)
    }
}

/// Returns the bytes of an image of this shape: nothing repeats.
fn noise([height, width, channels]: [u32; 3], seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..height * width * channels).map(next).collect()
}

fn ids(probabilities_khw: &Tensor) -> Vec<u8> {
    Vec::try_from(probabilities_khw.argmax(0, false).to_kind(Kind::Uint8).flatten(0, -1)).unwrap()
}

/// Asserts equality up to rounding.
fn assert_close(found: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(found.size(), expected.size());
    let worst = (found - expected).abs().max().double_value(&[]);
    assert!(worst <= tolerance, "{worst}");
}

#[test]
fn a_saved_network_says_what_it_is() {
    let place = Place::new(&data(json!({})), &[Format::Safetensors], Kind::Float);
    let model = place.open().unwrap();
    let classes: Vec<_> = model.classes().iter().map(|class| (class.id, class.name.as_str(), class.color)).collect();
    let colors = [Color::of_class(0), Color([16, 32, 48]), Color::of_class(2)];
    assert_eq!(classes, [(0, "sky", colors[0]), (1, "cat", colors[1]), (2, "dog", colors[2])]);
    let description = model.description();
    assert_eq!((description.run.epoch, description.run.step, description.size), (3, 9, [SIDE, SIDE]));
    assert_eq!(description.scores["mean_iou"], Some(0.5));
    assert_eq!(description.scores["iou/dog"], None);
    assert_eq!(Description::read(place.folder.path()).unwrap(), *description);
    // Other programs read the same names.
    let text: Value = serde_json::from_slice(&fs::read(place.path("model.json")).unwrap()).unwrap();
    assert_eq!(text["classes"][1], json!({"id": 1, "name": "cat", "color": "#102030"}));
    let input =
        json!({"name": "input__0", "kind": "f32", "shape": [-1, 3, -1, -1], "values": "RGB or grey, from 0 to 1"});
    assert_eq!(text["input"], input);
    assert_eq!(text["parity"]["model.onnx"], Value::Null);
    assert_eq!(
        text["files"]["model.safetensors"]["bytes"],
        fs::metadata(place.path("model.safetensors")).unwrap().len()
    );
    assert_eq!(text["files"].as_object().unwrap().len(), 1);
}

#[test]
fn a_model_moves_to_another_thread() {
    let place = Place::new(&data(json!({})), &[Format::Safetensors], Kind::Float);
    let model = place.open().unwrap();
    let image = Image::pixels([16, 16, 3], noise([16, 16, 3], 1)).unwrap();
    let here = model.predict(&image).unwrap().into_class_map();
    let there = std::thread::spawn(move || model.predict(image).unwrap().into_class_map());
    assert_eq!(there.join().unwrap(), here);
}

#[test]
fn what_is_not_there_is_said_with_what_to_do() {
    let place = Place::new(&data(json!({})), &[Format::Safetensors], Kind::Float);
    for path in [Path::new("/nowhere"), Path::new("/etc/hostname"), Path::new("/")] {
        let error = Model::open_on(path, Device::Cpu).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{} is no saved network: model.json: ", path.display())), "{error}");
    }
    place.edit(|description| description["files"] = json!({"model.onnx": {"bytes": 1, "blake3": "x"}}));
    assert!(place.refused().contains("has neither model.safetensors nor model.pt: export it with one of them"));
}
