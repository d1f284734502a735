//! Networks of an encoder and a decoder: outputs in evaluation and in training, with computed weights that are the same
//! on both sides.

use super::networks::filled;
use super::{Recorded, assert_close, reference};
use contract::{StateDict, Stateful};
use model::{BackboneConfig, Config, DecoderConfig, SegmenterConfig, WeightsConfig};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use tch::{Device, Kind, Tensor, nn::VarStore};
use testing::noise;

/// Returns the configuration of a network by its name in `segmenters.py`: encoder, decoder and output stride.
fn config(name: &str) -> SegmenterConfig {
    let parts: Vec<&str> = name.split('.').collect();
    let stride = parts.get(2).map_or(32, |stride| stride.parse().unwrap());
    let auxiliary = parts[1] == "auxiliary";
    let kind = if auxiliary { "unet" } else { parts[1] };
    let encoder: BackboneConfig = serde_json::from_value(json!({ "name": parts[0], "output_stride": stride })).unwrap();
    let decoder: DecoderConfig = serde_json::from_value(json!({ "kind": kind })).unwrap();
    SegmenterConfig { encoder, decoder, auxiliary, ..SegmenterConfig::default() }
}

/// Returns what `segmenters.py` keeps of an output.
fn kept(output: &Tensor) -> Tensor {
    let sample = output.slice(2, None, None, 7).slice(3, None, None, 9).flatten(0, -1);
    let sums = [output.sum(Kind::Double), output.square().sum(Kind::Double)];
    Tensor::cat(&[sample, Tensor::stack(&sums, 0)], 0)
}

#[test]
fn outputs_are_those_of_segmentation_models_pytorch_with_encoders_of_torchvision_and_timm() {
    let recorded = Recorded::open("segmenters");
    let all = recorded.0.keys().filter_map(|name| name.strip_suffix(".evaluated"));
    let mut names: Vec<_> = all.filter(|name| !name.starts_with("imported")).collect();
    names.sort_unstable();
    assert!(names.len() >= 25);
    let _no_grad = tch::no_grad_guard();
    let inputs = noise(&[2, 3, 64, 96], 1000).to_kind(Kind::Double);
    for name in names {
        let config = config(name);
        Config::Segmenter(config.clone()).check().unwrap();
        let mut store = VarStore::new(Device::Cpu);
        // Not of `Config::build`: that would give f32.
        let network = model::Segmenter::new(&store.root(), 3, 3, &config);
        let count: usize = store.trainable_variables().iter().map(Tensor::numel).sum();
        assert_eq!(count as i64, recorded.get(&format!("{name}.parameters")).int64_value(&[0]), "{name}");
        let state: StateDict = filled(Stateful::state(&store));
        store.load_state(&state).unwrap();
        store.double();
        let both = [("evaluated", false), ("trained", true)];
        for (mode, train) in both.into_iter().filter(|(_, train)| *train || !config.auxiliary) {
            let outputs = model::Network::outputs_t(&network, &inputs, train);
            let output = if config.auxiliary { &outputs.auxiliary[0] } else { &outputs.prediction };
            assert_close(&format!("{name}, {mode}"), &kept(output), &recorded.get(&format!("{name}.{mode}")));
        }
    }
}

#[test]
fn a_classifier_of_efficientnet_lite_pytorch_becomes_the_encoder_that_it_is() {
    let shapes = fs::read_to_string(reference("efficientnet_lite0.json")).unwrap();
    let shapes: BTreeMap<String, Vec<i64>> = serde_json::from_str(&shapes).unwrap();
    let zeros = |(name, shape): (String, Vec<i64>)| (name, Tensor::zeros(shape, (Kind::Float, Device::Cpu)));
    let whole = shapes.into_iter().filter(|(name, _)| !name.ends_with("num_batches_tracked")).map(zeros);
    let whole = filled(whole.collect());
    let weights = WeightsConfig { path: "file.pth".into(), encoder_only: true, skip_head: false };
    let mut store = VarStore::new(Device::Cpu);
    let network = model::Segmenter::new(&store.root(), 3, 3, &config("efficientnet_lite0.fpn"));
    let mut state = filled(Stateful::state(&store));
    let adopted = model::adopt(whole, &state, &weights).unwrap();
    assert_eq!(adopted.len(), state.keys().filter(|name| name.starts_with("encoder.")).count());
    state.extend(adopted);
    store.load_state(&state).unwrap();
    store.double();
    let recorded = Recorded::open("segmenters");
    let inputs = noise(&[2, 3, 64, 96], 1000).to_kind(Kind::Double);
    for (mode, train) in [("evaluated", false), ("trained", true)] {
        let output = tch::no_grad(|| tch::nn::ModuleT::forward_t(&network, &inputs, train));
        assert_close(mode, &kept(&output), &recorded.get(&format!("imported_lite0.{mode}")));
    }
}
