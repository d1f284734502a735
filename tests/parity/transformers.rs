//! Networks with transformers, ConvNeXt and the decoders that go with them: logits, and names of the variables.

use super::networks::filled;
use super::{Recorded, assert_close, reference};
use contract::{Optimizer, Stateful};
use model::{
    Backbone, BackboneConfig, Config, DecoderConfig, PspnetConfig, SegformerConfig, SegmenterConfig, UpernetConfig,
};
use optim::{Length, Schedule};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use tch::{Device, Kind, Tensor, nn::VarStore};
use testing::noise_f64;

/// Distance of the recorded values of the logits.
const STEP: i64 = 37;

/// Returns the network that a recorded case is named after.
fn network(name: &str) -> Config {
    let mut parts = name.split('.');
    let encoder: Backbone = serde_json::from_value(parts.next().unwrap().into()).unwrap();
    let decoder = match parts.next().unwrap() {
        "segformer" => DecoderConfig::Segformer(SegformerConfig::default()),
        "upernet" => DecoderConfig::Upernet(UpernetConfig::default()),
        "pspnet" => DecoderConfig::Pspnet(PspnetConfig::default()),
        other => panic!("{other}"),
    };
    let encoder = BackboneConfig { name: encoder, ..BackboneConfig::default() };
    Config::Segmenter(SegmenterConfig { encoder, decoder, ..SegmenterConfig::default() })
}

#[test]
fn logits_are_those_of_timm_torchvision_and_segmentation_models_pytorch() {
    let recorded = Recorded::open("transformers");
    let cases: Vec<&str> = recorded.0.keys().filter_map(|name| name.strip_suffix(".evaluated")).collect();
    assert_eq!(cases.len(), 18);
    let _no_grad = tch::no_grad_guard();
    for name in cases {
        let mut store = VarStore::new(Device::Cpu);
        let channels = if name.ends_with(".4") { 4 } else { 3 };
        let model = network(name).build(&store, channels, 3).unwrap();
        store.double();
        store.load_state(&filled(store.state())).unwrap();
        let side = if name.contains("patch14") { [56, 84] } else { [64, 96] };
        let inputs = noise_f64(&[2, channels, side[0], side[1]], 1000);
        for (mode, train) in [("evaluated", false), ("trained", true)] {
            let outputs = model.forward_t(&inputs, train);
            let found = outputs.flatten(0, -1).slice(0, None, None, STEP);
            assert_close(&format!("{name}, {mode}"), &found, &recorded.get(&format!("{name}.{mode}")));
        }
    }
}

#[test]
fn variables_have_the_names_and_shapes_of_published_files() {
    let text = fs::read_to_string(reference("transformers.json")).unwrap();
    let listed: BTreeMap<String, BTreeMap<String, Vec<i64>>> = serde_json::from_str(&text).unwrap();
    assert_eq!(listed.len(), 16);
    for (name, expected) in listed {
        // An encoder alone, or a whole network.
        let whole = if name.contains('.') { name.clone() } else { format!("{name}.segformer") };
        let store = VarStore::new(Device::Cpu);
        let _network = network(&whole).build(&store, if name.ends_with(".4") { 4 } else { 3 }, 3).unwrap();
        let found: BTreeMap<String, Vec<i64>> = store
            .variables()
            .into_iter()
            .filter(|(each, _)| name.contains('.') || each.starts_with("encoder."))
            .map(|(each, tensor)| (each, tensor.size()))
            .collect();
        assert_eq!(found, expected, "{name}");
        assert!(store.variables().values().all(|tensor| tensor.kind() == Kind::Float));
    }
}

/// Returns the parts of the learning rate that the weights of a network learn with, by an update of SGD.
fn factors(name: &str, layers: &[String]) -> BTreeMap<String, f64> {
    let store = VarStore::new(Device::Cpu);
    let _network = network(name).build(&store, 3, 2).unwrap();
    let config = json!({
        "learning_rate": 1.0,
        "rule": { "kind": "sgd" },
        "layer_decay": { "factor": 0.5, "layers": layers },
    });
    let config: optim::Config = serde_json::from_value(config).unwrap();
    let length = Length { updates_per_epoch: 1, epochs: 1 };
    let mut optimizer = config.build(contract::parameters(&store), Schedule::default(), length).unwrap();
    let before: BTreeMap<_, _> = store.variables().into_iter().map(|(name, own)| (name, own.copy())).collect();
    let sum: Tensor = contract::parameters(&store).values().map(|own| own.sum(Kind::Float)).sum();
    optimizer.minimize(&sum, &|| Ok(Tensor::from(1f32))).unwrap().unwrap();
    let change = |name: &str, own: &Tensor| (&before[name] - own).mean(Kind::Double).double_value(&[]);
    contract::parameters(&store).iter().map(|(name, own)| (name.clone(), change(name, own))).collect()
}

#[test]
fn rates_fall_from_block_to_block_with_the_documented_layers() {
    let numbered = |from: i64, to: i64| (from..=to).map(|number| format!("encoder.blocks.{number}.*"));
    let vit: Vec<String> = ["encoder.[cpr]*".to_string()].into_iter().chain(numbered(0, 11)).collect();
    // As BEiT's and MMSegmentation's rule: embeddings, blocks, and after them the last norm and the decoder.
    let of_vit = |name: &str| {
        let block = name.strip_prefix("encoder.blocks.").map(|rest| rest.split('.').next().unwrap());
        match block {
            Some(block) => 12 - block.parse::<i32>().unwrap(),
            None if name.starts_with("encoder.") && !name.starts_with("encoder.norm.") => 13,
            None => 0,
        }
    };
    let convnext = [
        "encoder.features.[01].*",
        "encoder.features.[23].*",
        "encoder.features.[45].[0-2].*",
        "encoder.features.5.[3-5].*",
        "encoder.features.5.[6-8].*",
        "encoder.features.[67].*",
    ];
    let convnext: Vec<String> = convnext.map(String::from).into();
    let of_convnext = |name: &str| {
        let Some(rest) = name.strip_prefix("encoder.features.") else { return 0 };
        let mut parts = rest.split('.').map(|part| part.parse::<i32>().unwrap_or_default());
        match (parts.next().unwrap(), parts.next().unwrap()) {
            (0 | 1, _) => 6,
            (2 | 3, _) => 5,
            (4, _) => 4,
            (5, block) => 4 - block / 3,
            _ => 1,
        }
    };
    type Rule<'a> = &'a dyn Fn(&str) -> i32;
    let cases: [(&str, &[String], Rule); 3] = [
        ("vit_small_patch14_dinov2.segformer", &vit, &of_vit),
        ("vit_small_patch16_dinov3.segformer", &vit, &of_vit),
        ("convnext_tiny.segformer", &convnext, &of_convnext),
    ];
    for (name, layers, rule) in cases {
        for (weight, factor) in factors(name, layers) {
            let expected = 0.5f64.powi(rule(&weight));
            assert!(
                (factor - expected).abs() <= 1e-3 * expected + 1e-6,
                "{weight} of {name}: {factor}, not {expected}"
            );
        }
    }
}
