//! Tests of segmenters with transformers and ConvNeXt, and of the decoders that go with them.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use model::{
    Backbone, BackboneConfig, Common, Config, DecoderConfig, Network, Precision, PspnetConfig, SegformerConfig,
    SegmenterConfig, UpernetConfig,
};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use testing::noise;
use torch_ext::{generator_state, set_generator_state};

/// The tests draw from one generator.
static GENERATOR: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    GENERATOR.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The smallest encoder of each architecture, each with a decoder.
fn networks() -> [(Backbone, DecoderConfig); 4] {
    let (pspnet, upernet, segformer) =
        (PspnetConfig::default(), UpernetConfig { channels: 32 }, SegformerConfig::default());
    [
        (Backbone::MitB0, DecoderConfig::Segformer(segformer)),
        (Backbone::ConvnextTiny, DecoderConfig::Upernet(upernet.clone())),
        (Backbone::VitSmallPatch14Dinov2, DecoderConfig::Upernet(upernet)),
        (Backbone::VitSmallPatch16Dinov3, DecoderConfig::Pspnet(pspnet)),
    ]
}

fn segmenter(name: Backbone, decoder: DecoderConfig) -> SegmenterConfig {
    let encoder = BackboneConfig { name, ..BackboneConfig::default() };
    SegmenterConfig { encoder, decoder, ..SegmenterConfig::default() }
}

/// Makes the network with weights that let every part show: LayerScale begins close to 0.
fn built(config: SegmenterConfig) -> (VarStore, Box<dyn Network>) {
    let store = VarStore::new(Device::Cpu);
    tch::manual_seed(0);
    let network = Config::Segmenter(config).build(&store, 3, 2).unwrap();
    let scale = |name: &str| name.contains("gamma") || name.ends_with("layer_scale");
    for (_, mut tensor) in store.variables().into_iter().filter(|(name, _)| scale(name)) {
        let _ = tch::no_grad(|| tensor.fill_(0.5));
    }
    (store, network)
}

fn far(left: &Tensor, right: &Tensor) -> f64 {
    ((left - right).norm() / right.norm()).double_value(&[])
}

/// Runs a training pass and returns its output and the gradients of all weights that have one, by name.
fn pass(store: &VarStore, network: &dyn Network, x: &Tensor) -> (Tensor, Vec<(String, Tensor)>) {
    let y = network.forward_t(x, true);
    (&y * (x.narrow(1, 0, 2) + 0.3)).sum(Kind::Float).backward();
    let mut gradients: Vec<_> = store
        .variables()
        .into_iter()
        .filter(|(_, own)| own.requires_grad() && own.grad().defined())
        .map(|(name, mut own)| {
            let gradient = own.grad().copy();
            own.zero_grad();
            (name, gradient)
        })
        .collect();
    gradients.sort_by(|left, right| left.0.cmp(&right.0));
    (y.detach(), gradients)
}

#[test]
fn a_step_in_bf16_reaches_every_weight_and_is_close_to_one_in_f32() {
    let _alone = alone();
    let x = noise(&[2, 3, 64, 64], 1);
    for (name, decoder) in networks() {
        let found = [Precision::Fp32, Precision::Bf16].map(|precision| {
            let common = Common { precision, ..Common::default() };
            let (store, network) = built(SegmenterConfig { common, ..segmenter(name, decoder.clone()) });
            let (y, gradients) = pass(&store, network.as_ref(), &x);
            let weights = store.variables().values().filter(|own| own.requires_grad()).count();
            assert_eq!((y.kind(), gradients.len()), (Kind::Float, weights), "{name:?}, {precision}");
            for (weight, gradient) in &gradients {
                let finite = bool::try_from(gradient.isfinite().all()).unwrap();
                assert!(finite && gradient.kind() == Kind::Float, "{weight} of {name:?}, {precision}");
            }
            let largest = |pattern: &str| {
                let of = gradients.iter().filter(|(weight, _)| weight.contains(pattern));
                of.map(|(_, gradient)| gradient.abs().max().double_value(&[])).fold(0.0, f64::max)
            };
            assert!(largest("encoder") > 0.0 && largest("decoder") > 0.0, "{name:?}, {precision}");
            y
        });
        let off = far(&found[1], &found[0]);
        assert!(off > 0.0 && off < 0.1, "{name:?}: {off}");
    }
}

#[test]
fn recomputed_blocks_give_the_same_also_where_branches_are_dropped() {
    let _alone = alone();
    let x = noise(&[3, 3, 64, 64], 1);
    for (name, decoder) in networks() {
        let mut config = segmenter(name, decoder);
        config.encoder.stochastic_depth = 0.5;
        let mut state = None;
        let found = [false, true].map(|recompute| {
            let common = Common { recompute, ..Common::default() };
            let (store, network) = built(SegmenterConfig { common, ..config.clone() });
            let from = state.get_or_insert_with(|| generator_state(Device::Cpu).unwrap());
            set_generator_state(Device::Cpu, from).unwrap();
            let whole = pass(&store, network.as_ref(), &x);
            let without = pass(&store, network.as_ref(), &x);
            assert!(far(&without.0, &whole.0) > 1e-4, "{name:?}: other branches are dropped the second time");
            whole
        });
        let [plain, again] = found;
        assert!(again.0.equal(&plain.0), "{name:?}");
        assert_eq!(again.1.len(), plain.1.len());
        for ((weight, again), (_, plain)) in again.1.iter().zip(&plain.1) {
            let off = (again - plain).abs().max().double_value(&[]);
            assert!(off <= 1e-4 * plain.abs().max().double_value(&[]) + 1e-7, "{weight} of {name:?}: {off:e}");
        }
    }
}

#[test]
fn a_batch_without_samples_goes_through_and_back() {
    let _alone = alone();
    for (name, decoder) in networks() {
        for precision in [Precision::Fp32, Precision::Bf16] {
            let mut config = segmenter(name, decoder.clone());
            config.encoder.stochastic_depth = 0.2;
            config.common = Common { precision, recompute: precision == Precision::Bf16, ..Common::default() };
            let (store, network) = built(config);
            let before: Vec<_> = store.variables().into_iter().map(|(name, own)| (name, own.copy())).collect();
            let x = Tensor::zeros([0, 3, 48, 64], (Kind::Float, Device::Cpu));
            let (y, gradients) = pass(&store, network.as_ref(), &x);
            assert_eq!(y.size(), [0, 2, 48, 64]);
            assert!(gradients.iter().all(|(_, own)| own.abs().max().double_value(&[]) == 0.0), "{name:?}");
            let after = store.variables();
            for (weight, before) in before {
                assert!(after[&weight].equal(&before), "{weight} of {name:?}");
            }
        }
    }
}

#[test]
fn a_frozen_encoder_has_no_gradients_and_samples_do_not_see_each_other() {
    let _alone = alone();
    for (name, decoder) in networks() {
        let mut config = segmenter(name, decoder);
        config.encoder.frozen = true;
        let (store, network) = built(config);
        let x = noise(&[3, 3, 56, 70], 2);
        let (_, gradients) = pass(&store, network.as_ref(), &x);
        assert!(!gradients.is_empty() && gradients.iter().all(|(weight, _)| !weight.starts_with("encoder.")));
        let _no_grad = tch::no_grad_guard();
        let (all, one) = (network.forward_t(&x, false), network.forward_t(&x.narrow(0, 1, 1), false));
        assert!(far(&one, &all.narrow(0, 1, 1)) < 1e-5, "{name:?}");
        // Sizes that are padded keep their pixels in place.
        assert_eq!(all.size(), [3, 2, 56, 70]);
    }
}
