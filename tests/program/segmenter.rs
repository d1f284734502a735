//! Networks of an encoder and a decoder, from training to prediction.

use super::support::{Place, root};
use std::fs;

const FILES: [&str; 4] = ["model.safetensors", "optimizer.safetensors", "metric.safetensors", "generator.safetensors"];

/// A small encoder with everything that draws at random or has outputs for the loss alone.
const NETWORK: &str = concat!(
    r#"--set model={"kind":"segmenter","encoder":{"name":"mobilenet_v3_small","stochastic_depth":0.3},"#,
    r#""decoder":{"kind":"fpn","pyramid_channels":32,"channels":32},"auxiliary":true,"dropout":0.1} "#,
    "--set data.size=[32,32]"
);

#[test]
fn it_trains_resumes_to_the_bit_validates_and_predicts() {
    let place = Place::new();
    place.train(&format!("--run straight --set train.epochs=4 {NETWORK}")).ok();
    place.train(&format!("--run stopped {NETWORK}")).ok();
    place.app("train --run stopped --set train.epochs=4").ok();
    assert_eq!(place.metrics("straight"), place.metrics("stopped"));
    for file in FILES {
        assert!(place.last("straight", file) == place.last("stopped", file), "{file} differs");
    }
    let scored = place.app("validate --run stopped").ok();
    assert!(scored.stdout.contains("mean_iou") || scored.stdout.contains("iou"), "{}", scored.stdout);
    fs::copy(root().join("tests/old/data/images/00.png"), place.path("odd.png")).unwrap();
    place.app("predict odd.png --run stopped --output predicted").ok();
    assert!(fs::read_dir(place.path("predicted")).unwrap().count() > 0);
}

#[test]
fn deep_supervision_and_recomputation_change_what_they_should() {
    let place = Place::new();
    let unet = |more: &str| {
        format!(
            "{}{more}}}}} --set data.size=[32,32] --set train.epochs=1",
            concat!(
                r#"--set model={"kind":"segmenter","encoder":{"name":"mobilenet_v3_small"},"#,
                r#""decoder":{"kind":"unet","channels":[16,16,8,8,8]"#
            )
        )
    };
    let deep = unet(r#","deep_supervision":true"#);
    let (plain, halving) = (unet(""), format!("{deep} --set loss.auxiliary=halving"));
    let runs = [("plain", &plain), ("deep", &deep), ("halving", &halving)];
    let losses = runs.map(|(name, options)| {
        place.train(&format!("--run {name} {options}")).ok();
        place.metrics(name).iter().find_map(|line| line["loss"].as_f64()).unwrap()
    });
    assert!(losses[1] > losses[0] && losses[0] != losses[2], "{losses:?}");
    let checkpoint = |name: &str| place.last(name, "model.safetensors");
    place.train(&format!("--run again {deep} --set model.recompute=true")).ok();
    assert_eq!(checkpoint("deep").len(), checkpoint("again").len());
}

#[test]
fn what_cannot_be_joined_is_refused_by_its_key() {
    let place = Place::new();
    let network = |encoder: &str, decoder: &str| {
        place.train(&format!(r#"--set model={{"kind":"segmenter","encoder":{encoder},"decoder":{decoder}}}"#))
    };
    let dilated = r#"{"name":"resnet18","output_stride":16}"#;
    network(dilated, r#"{"kind":"unet"}"#).refused(2, "model.encoder.output_stride: must be 32 with the decoder unet");
    network(r#"{"name":"resnet19"}"#, r#"{"kind":"unet"}"#).refused(2, "model.encoder.name");
    network("{}", r#"{"kind":"fpn","channels":33}"#).refused(2, "model.decoder.channels: must be a multiple of 32");
    network(r#"{"stochastic_depth":1.0}"#, r#"{"kind":"fpn"}"#).refused(2, "model.encoder.stochastic_depth");
    network("{}", r#"{"kind":"deeplab_v3_plus","rates":[1,2,0]}"#).refused(2, "model.decoder.rates");
    assert!(!place.path("runs").exists());
}

#[test]
fn the_list_names_every_encoder_and_decoder() {
    let place = Place::new();
    let ran = place.app("model list --size 32 64 --json").ok();
    let list: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let encoders = list["encoders"].as_array().unwrap();
    let resnet = encoders.iter().find(|encoder| encoder["name"] == "resnet34").unwrap();
    assert_eq!(resnet["strides"], serde_json::json!([2, 4, 8, 16, 32]));
    assert_eq!(resnet["parameters"], 21_284_672);
    assert_eq!(resnet["weights"][0]["name"], "imagenet");
    assert_eq!(resnet["weights"][0]["licence"], "BSD-3-Clause");
    assert!(encoders.iter().all(|encoder| !encoder["weights"].as_array().unwrap().is_empty()));
    assert_eq!(list["size"], serde_json::json!([32, 64]));
    assert!(list["decoders"].as_array().unwrap().iter().all(|decoder| decoder["parameters"].as_u64() > Some(0)));
}
