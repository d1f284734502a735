//! Every encoder with every decoder.

mod class_scores;

use super::*;
use crate::segmenter::config::{Backbone, DecoderConfig, UnetDecoderConfig};
use crate::{BackboneConfig, Common, Config};
use contract::Stateful;
use std::collections::BTreeMap;
use tch::{Device, Kind, nn::VarStore};
use testing::noise;

fn config(name: Backbone, decoder: &DecoderConfig) -> SegmenterConfig {
    let encoder = BackboneConfig { name, ..BackboneConfig::default() };
    SegmenterConfig { encoder, decoder: decoder.clone(), ..SegmenterConfig::default() }
}

#[test]
fn every_pair_gives_a_map_of_the_stride_that_it_claims() {
    let _no_grad = tch::no_grad_guard();
    for name in Backbone::ALL.iter().copied() {
        let store = VarStore::new(Device::Cpu);
        let encoder = build::encoder(&store.root(), 4, &config(name, &DecoderConfig::default()).encoder);
        let features = encoder.encode(&noise(&[1, 4, 64, 96], 1), false, false);
        let sizes = |tensors: &[Tensor]| -> Vec<Vec<i64>> { tensors.iter().map(Tensor::size).collect() };
        let expected = |levels: &[encoder::Level]| -> Vec<Vec<i64>> {
            levels.iter().map(|level| vec![1, level.channels, 64 / level.stride, 96 / level.stride]).collect()
        };
        assert_eq!(sizes(&features), expected(encoder.levels()), "{name:?}");
        for (number, kind) in DecoderConfig::all().iter().enumerate() {
            let decoder = build::decoder(&(store.root() / number), encoder.levels(), kind);
            let features = features.iter().map(Tensor::shallow_clone).collect();
            let maps = decoder.decode(features, false, false);
            assert_eq!(sizes(&maps), expected(&decoder.outputs()), "{name:?}, {kind:?}");
        }
    }
}

#[test]
fn every_network_keeps_odd_heights_and_widths() {
    for name in Backbone::ALL.iter().copied() {
        let decoder = DecoderConfig::Fpn(crate::FpnConfig { pyramid_channels: 32, channels: 32 });
        let store = VarStore::new(Device::Cpu);
        let network = Segmenter::new(&store.root(), 1, 3, &config(name, &decoder));
        let y = tch::no_grad(|| network.forward_t(&noise(&[2, 1, 33, 47], 1), false));
        assert_eq!(y.size(), [2, 3, 33, 47], "{name:?}");
    }
}

/// Makes a training pass. Returns the loss, and the state and the gradients of all variables after it.
fn step(config: &SegmenterConfig, recompute: bool) -> (f64, BTreeMap<String, Tensor>) {
    let config = SegmenterConfig { common: Common { recompute, ..config.common.clone() }, ..config.clone() };
    let mut store = VarStore::new(Device::Cpu);
    let network = Config::Segmenter(config).build(&store, 3, 2).unwrap();
    let values = (0..).zip(Stateful::state(&store));
    let values = values.map(|(seed, (name, tensor))| {
        let by = if tensor.dim() == 4 { (3.0 / tensor.get(0).numel() as f64).sqrt() } else { 0.2 };
        let values = noise(&tensor.size(), seed) * by;
        let values = if name.ends_with("running_var") || name.ends_with("weight") && tensor.dim() == 1 {
            values + 1.0
        } else {
            values
        };
        (name, values)
    });
    store.load_state(&values.collect()).unwrap();
    let outputs = network.outputs_t(&noise(&[2, 3, 64, 64], 1), true);
    let all = outputs.auxiliary.iter().chain([&outputs.prediction]);
    let loss: Tensor = all.map(|output| output.square().mean(Kind::Float)).sum();
    loss.backward();
    let found = store.variables().into_iter().flat_map(|(name, variable)| {
        let gradient = variable.grad();
        let gradient = gradient.defined().then(|| (format!("{name}.grad"), gradient));
        [(name, variable.detach())].into_iter().chain(gradient)
    });
    (loss.double_value(&[]), found.collect())
}

fn assert_recomputes(config: &SegmenterConfig) {
    let ((kept, left), (again, right)) = (step(config, false), step(config, true));
    let name = format!("{:?}, {:?}", config.encoder, config.decoder);
    assert!(kept.is_finite() && kept == again, "{name}: {kept} and {again}");
    assert!(left.keys().eq(right.keys()), "{name}");
    for ((key, left), right) in left.iter().zip(right.values()) {
        let (worst, most) = ((left - right).abs().max(), left.abs().max().clamp_min(1e-6));
        let off = (worst / most).double_value(&[]);
        assert!(off < 1e-3, "{name}, {key} is off by {off}");
    }
}

#[test]
fn what_is_recomputed_gives_the_same_loss_and_gradients() {
    let small = DecoderConfig::Fpn(crate::FpnConfig { pyramid_channels: 32, channels: 32 });
    let light = [
        Backbone::MobilenetV2,
        Backbone::MobilenetV3Large,
        Backbone::MobilenetV3Small,
        Backbone::EfficientnetB0,
        Backbone::EfficientnetLite0,
    ];
    light.into_iter().for_each(|name| assert_recomputes(&config(name, &small)));
    for decoder in DecoderConfig::all() {
        assert_recomputes(&SegmenterConfig { auxiliary: true, ..config(Backbone::Resnet18, &decoder) });
    }
}

#[test]
fn every_decoder_reads_every_kind_of_pyramid() {
    // With stride 2, without, and of patches of 14 pixels.
    for name in [Backbone::Resnet18, Backbone::MitB0, Backbone::VitSmallPatch14Dinov2] {
        for decoder in DecoderConfig::all() {
            let config = Config::Segmenter(SegmenterConfig { auxiliary: true, ..config(name, &decoder) });
            config.check().unwrap();
            let store = VarStore::new(Device::Cpu);
            let network = config.build(&store, 3, 2).unwrap();
            let outputs = network.outputs_t(&noise(&[2, 3, 90, 61], 1), true);
            assert_eq!(outputs.prediction.size(), [2, 2, 90, 61], "{name:?}, {decoder:?}");
            let auxiliary = if name == Backbone::VitSmallPatch14Dinov2 { [7, 5] } else { [6, 4] };
            assert_eq!(outputs.auxiliary[0].size()[2..], auxiliary, "{name:?}, {decoder:?}");
        }
    }
}

#[test]
fn auxiliary_outputs_come_in_training_alone() {
    let unet = DecoderConfig::Unet(UnetDecoderConfig::default());
    let deep = DecoderConfig::Unet(UnetDecoderConfig { deep_supervision: true, ..UnetDecoderConfig::default() });
    let head = SegmenterConfig { auxiliary: true, ..config(Backbone::Resnet18, &unet) };
    for (config, expected, weight) in [
        (head, vec![[3, 4]], "aux_classifier.4.weight"),
        (config(Backbone::Resnet18, &deep), vec![[20, 32], [10, 16], [5, 8], [3, 4]], "deep_supervision.3.0.weight"),
    ] {
        config.check().unwrap();
        let store = VarStore::new(Device::Cpu);
        let network = Config::Segmenter(config).build(&store, 3, 2).unwrap();
        let x = noise(&[2, 3, 40, 64], 1);
        let outputs = network.outputs_t(&x, true);
        let sizes: Vec<_> = outputs.auxiliary.iter().map(|output| output.size()[2..].to_vec()).collect();
        assert_eq!(sizes, expected);
        assert_eq!(outputs.prediction.size(), [2, 2, 40, 64]);
        assert!(network.outputs_t(&x, false).auxiliary.is_empty());
        let unused = || !store.variables()[weight].grad().defined();
        network.forward_t(&x, true).sum(Kind::Float).backward();
        assert!(unused());
        outputs.auxiliary.iter().map(|output| output.sum(Kind::Float)).sum::<Tensor>().backward();
        assert!(!unused());
    }
    let both = SegmenterConfig { auxiliary: true, ..config(Backbone::Resnet18, &deep) };
    assert_eq!(both.check().unwrap_err().key, "auxiliary");
}

#[test]
fn a_dilated_encoder_keeps_its_weights_and_ends_at_its_output_stride() {
    let _no_grad = tch::no_grad_guard();
    let kind = DecoderConfig::DeeplabV3Plus(crate::DeeplabConfig { channels: 16, rates: [1, 2, 3] });
    for name in [Backbone::Resnet50, Backbone::MobilenetV3Large, Backbone::EfficientnetLite0] {
        let names = [32, 16, 8].map(|output_stride| {
            let store = VarStore::new(Device::Cpu);
            let mut config = config(name, &kind);
            config.encoder.output_stride = output_stride;
            let encoder = build::encoder(&store.root(), 3, &config.encoder);
            assert_eq!(encoder.levels().last().map(|level| level.stride), Some(output_stride));
            let features = encoder.encode(&noise(&[1, 3, 64, 64], 1), false, false);
            assert_eq!(features.last().map(|map| map.size()[2]), Some(64 / output_stride));
            let state = Stateful::state(&store);
            state.into_iter().map(|(name, tensor)| (name, tensor.size())).collect::<BTreeMap<_, _>>()
        });
        assert!(names[0] == names[1] && names[1] == names[2]);
    }
}
