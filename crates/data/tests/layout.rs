//! Numbers of images of many bands and bits on their way to the network, compared with NumPy's (`reference/layout.py`).

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use contract::Input;
use data::{Config, Loader, Order, Split};
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs;
use std::sync::Arc;
use tch::Device;

#[derive(Deserialize)]
struct Case {
    name: String,
    extension: String,
    file: String,
    keys: Value,
    shape: [i64; 3],
    expected: String,
}

#[derive(Deserialize)]
struct Reference {
    cases: Vec<Case>,
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn what_reaches_the_network_is_numpys_to_the_bit() {
    let reference: Reference = serde_json::from_str(include_str!("../reference/layout.json")).unwrap();
    assert_eq!(reference.cases.len(), 12);
    for Case { name, extension, file, keys, shape: [channels, height, width], expected } in reference.cases {
        let folder = tempfile::tempdir().unwrap();
        for part in ["images", "masks"] {
            fs::create_dir(folder.path().join(part)).unwrap();
        }
        // Two, since a split leaves none empty.
        for sample in ["a", "b"] {
            fs::write(folder.path().join(format!("images/{sample}.{extension}")), unhex(&file)).unwrap();
            let mask = image::GrayImage::new(width as u32, height as u32);
            mask.save(folder.path().join(format!("masks/{sample}.png"))).unwrap();
        }
        let mut config = json!({
            "kind": "folders", "root": folder.path(), "classes": ["a", "b"], "size": [height, width],
            "resize": {"kind": "none"}, "transforms": [], "loader": {"batch_size": 1, "workers": 0},
            "split": {"validation_fraction": 0.5}
        });
        config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        let config: Config = serde_json::from_value(config).unwrap();
        let dataset: Arc<dyn data::Dataset> = config.open(Split::Train).unwrap().into();
        let pipeline = config.pipeline(Split::Train);
        let loader = Loader::new(dataset, pipeline, config.loader(), Order::Sequential, 1, Device::Cpu).unwrap();
        let inputs = loader.epoch(0, 0).next().unwrap().unwrap().inputs;
        assert_eq!(inputs.size(), [1, channels, height, width], "{name}");
        let found = Vec::<f32>::try_from(inputs.contiguous().flatten(0, -1)).unwrap();
        let expected: Vec<f32> =
            unhex(&expected).as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let off = found.iter().zip(&expected).position(|(found, expected)| found.to_bits() != expected.to_bits());
        assert_eq!(off.map(|place| (place, found[place], expected[place])), None, "{name}");
    }
}
