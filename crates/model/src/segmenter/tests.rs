//! Every encoder with every decoder.

use super::*;
use crate::segmenter::config::{Backbone, DecoderConfig};
use crate::{BackboneConfig, Common};
use tch::{Device, Kind, nn::VarStore};
use testing::noise;

fn config(name: Backbone, decoder: &DecoderConfig) -> SegmenterConfig {
    let encoder = BackboneConfig { name, ..BackboneConfig::default() };
    SegmenterConfig { encoder, decoder: decoder.clone(), ..SegmenterConfig::default() }
}

#[test]
fn every_pair_keeps_height_and_width() {
    for name in Backbone::ALL.iter().copied() {
        let store = VarStore::new(Device::Cpu);
        let network = Segmenter::new(&store.root(), 4, 3, &config(name, &DecoderConfig::default()));
        for size in [[33, 47], [64, 32]] {
            let x = noise(&[2, 4, size[0], size[1]], 1);
            let y = tch::no_grad(|| network.forward_t(&x, false));
            assert_eq!(y.size(), [2, 3, size[0], size[1]], "{name:?}");
        }
    }
}

#[test]
fn every_decoder_reads_every_kind_of_pyramid() {
    // With stride 2, without, and of patches of 14 pixels.
    for name in [Backbone::Resnet18, Backbone::MitB0, Backbone::VitSmallPatch14Dinov2] {
        for decoder in DecoderConfig::all() {
            let config = SegmenterConfig { auxiliary: true, ..config(name, &decoder) };
            config.check().unwrap();
            let store = VarStore::new(Device::Cpu);
            let network = Segmenter::new(&store.root(), 3, 2, &config);
            let x = noise(&[2, 3, 90, 61], 1);
            let outputs = network.outputs_t(&x, true);
            assert_eq!(outputs.prediction.size(), [2, 2, 90, 61], "{name:?}, {decoder:?}");
            let auxiliary = if name == Backbone::VitSmallPatch14Dinov2 { [7, 5] } else { [6, 4] };
            assert_eq!(outputs.auxiliary[0].size()[2..], auxiliary, "{name:?}, {decoder:?}");
        }
    }
}

#[test]
fn auxiliary_outputs_come_in_training_alone() {
    let decoder = DecoderConfig::Unet(crate::UnetDecoderConfig { deep_supervision: true, ..Default::default() });
    let config = SegmenterConfig { auxiliary: true, common: Common::default(), ..config(Backbone::Resnet18, &decoder) };
    let store = VarStore::new(Device::Cpu);
    let network = Segmenter::new(&store.root(), 3, 2, &config);
    let x = noise(&[2, 3, 40, 64], 1);
    let outputs = network.outputs_t(&x, true);
    let sizes: Vec<_> = outputs.auxiliary.iter().map(|output| output.size()[2..].to_vec()).collect();
    assert_eq!(sizes, [[20, 32], [10, 16], [5, 8], [3, 4], [3, 4]]);
    assert_eq!(outputs.prediction.size(), [2, 2, 40, 64]);
    assert!(network.outputs_t(&x, false).auxiliary.is_empty());
    outputs.auxiliary[4].sum(Kind::Float).backward();
}
