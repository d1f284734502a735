//! Draws of networks from libtorch's random generator. It is one for a process, so these tests take turns in a process
//! of their own: any other test that makes a network would draw in between.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use model::{Backbone, BackboneConfig, Common, Config, DecoderConfig, FpnConfig, SegmenterConfig, UNetConfig};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use testing::noise;

fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn segmenter(stochastic_depth: f64, recompute: bool) -> Config {
    let encoder = BackboneConfig { name: Backbone::EfficientnetB0, stochastic_depth, ..BackboneConfig::default() };
    let decoder = DecoderConfig::Fpn(FpnConfig { pyramid_channels: 32, channels: 32 });
    let common = Common { recompute, dropout: 0.1, ..Common::default() };
    Config::Segmenter(SegmenterConfig { encoder, decoder, common, ..SegmenterConfig::default() })
}

/// Makes a network and a training pass, each from a seed of its own. Returns the loss and the gradients.
fn pass(config: &Config) -> (f64, HashMap<String, Tensor>) {
    tch::manual_seed(1);
    let store = VarStore::new(Device::Cpu);
    let network = config.build(&store, 3, 2).unwrap();
    tch::manual_seed(3);
    let loss = network.outputs_t(&noise(&[2, 3, 64, 64], 1), true).prediction.square().mean(Kind::Float);
    loss.backward();
    let trained = store.variables().into_iter().filter(|(_, variable)| variable.requires_grad());
    (loss.double_value(&[]), trained.map(|(name, variable)| (name, variable.grad())).collect())
}

#[test]
fn initialisation_is_he_and_a_function_of_the_seed() {
    let _alone = alone();
    let build = |seed| {
        let store = VarStore::new(Device::Cpu);
        tch::manual_seed(seed);
        let unet = UNetConfig { width: 32, depth: 2, ..UNetConfig::default() };
        Config::Unet(unet).build(&store, 3, 3).unwrap();
        store.variables()
    };
    let (first, again, other) = (build(1), build(1), build(2));
    assert!(first.iter().all(|(name, tensor)| tensor.equal(&again[name])));
    let weight = |all: &HashMap<String, Tensor>| all["bottom.conv2.weight"].copy();
    assert!(!weight(&first).equal(&weight(&other)));
    let std = weight(&first).std(true).double_value(&[]);
    let he = (2.0f64 / (128.0 * 9.0)).sqrt();
    assert!((std / he - 1.0).abs() < 0.02, "{std} against {he}");
    assert!(
        first.iter().all(|(name, t)| !name.contains("norm") || !name.ends_with("weight") || t.equal(&t.ones_like()))
    );
}

#[test]
fn what_is_recomputed_drops_the_same_branches_and_channels() {
    let _alone = alone();
    let ((kept, left), (again, right)) = (pass(&segmenter(0.5, false)), pass(&segmenter(0.5, true)));
    assert!(kept.is_finite() && kept == again, "{kept} and {again}");
    for (name, left) in &left {
        let most = left.abs().max().clamp_min(1e-6);
        let off = ((left - &right[name]).abs().max() / most).double_value(&[]);
        assert!(off < 1e-3, "{name} is off by {off}");
    }
    assert_ne!(pass(&segmenter(0.0, false)).0, kept, "nothing was dropped");
}
