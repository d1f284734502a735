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

#[test]
fn a_number_without_data_counts_in_images_of_8_bits_too() {
    // PNG is read band by band, BMP as a photograph.
    for extension in ["png", "bmp"] {
        let folder = tempfile::tempdir().unwrap();
        for part in ["images", "masks"] {
            fs::create_dir(folder.path().join(part)).unwrap();
        }
        for sample in ["a", "b"] {
            let mut photograph = image::RgbImage::from_pixel(4, 3, image::Rgb([20, 30, 40]));
            photograph.put_pixel(2, 1, image::Rgb([20, 7, 40]));
            photograph.save(folder.path().join(format!("images/{sample}.{extension}"))).unwrap();
            image::GrayImage::new(4, 3).save(folder.path().join(format!("masks/{sample}.png"))).unwrap();
        }
        let config = |more: Value| -> Config {
            let mut config = json!({
                "kind": "folders", "root": folder.path(), "classes": ["a", "b"], "size": [3, 4], "transforms": [],
                "split": {"validation_fraction": 0.5}
            });
            config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            serde_json::from_value(config).unwrap()
        };
        let mut sample = data::Sample::default();
        config(json!({})).open(Split::Train).unwrap().load(0, &mut sample).unwrap();
        assert_eq!((sample.image.bytes()[19], sample.target.classes()[6]), (7, 0));
        config(json!({"no_data": 7})).open(Split::Train).unwrap().load(0, &mut sample).unwrap();
        assert_eq!((&sample.image.bytes()[18..24], sample.target.classes()[6]), (&[0, 0, 0, 20, 30, 40][..], 255));
        assert_eq!(sample.target.classes().iter().filter(|id| **id == 255).count(), 1);
    }
}

#[test]
fn an_image_of_the_pets_is_one_file() {
    let config = json!({"kind": "oxford_pets", "root": "nowhere", "more_images": ["{}_2"]});
    let config: Config = serde_json::from_value(config).unwrap();
    assert_eq!(config.check().unwrap_err().key, "more_images");
}
