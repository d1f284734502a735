//! Tests of networks whose batch is shared among ranks, some of which have no sample.

use super::*;
use crate::{
    Block, Common, EncoderConfig, Fused, Layers, MobileNetV2UNetConfig, Precision, ResNetUNetConfig, UNetConfig,
    Upsampling, is_here,
};
use contract::Ranks;
use std::sync::Mutex;
use tch::{Device, Kind, Tensor};
use testing::{noise, together_owned};

/// Every network with every part that it may have, small.
fn networks(common: &Common) -> Vec<Config> {
    let unet = |upsampling, block, attention| {
        Config::Unet(UNetConfig { width: 16, depth: 2, upsampling, block, attention, common: common.clone() })
    };
    let (encoder, common) = (EncoderConfig::default(), common.clone());
    vec![
        unet(Upsampling::Transposed, Block::Plain, false),
        unet(Upsampling::Bilinear, Block::Residual, true),
        Config::MobilenetV2Unet(MobileNetV2UNetConfig {
            width_multiplier: 0.1,
            encoder: encoder.clone(),
            common: common.clone(),
            ..Default::default()
        }),
        Config::ResnetUnet(ResNetUNetConfig { layers: Layers::Eighteen, encoder, common, ..Default::default() }),
    ]
}

fn kernels(precision: Precision) -> impl Iterator<Item = Kernels> {
    [Kernels::Libtorch, Kernels::Own, Kernels::Winograd].into_iter().filter(move |kernels| is_here(*kernels, precision))
}

/// Makes the network with weights that depend on their names only: the tests share libtorch's generator.
fn built(config: &Config, kernels: Kernels, ranks: Option<Arc<dyn Ranks>>) -> (VarStore, Box<dyn ModuleT>) {
    let store = VarStore::new(Device::Cpu);
    let network = config.build_with(&store, 3, 2, kernels, ranks).unwrap();
    let _no_grad = tch::no_grad_guard();
    for (name, mut weight) in store.variables().into_iter().filter(|(_, weight)| weight.dim() == 4) {
        let fan_in = (weight.numel() as i64 / weight.size()[0]) as f64;
        let seed = name.bytes().map(u64::from).sum();
        weight.copy_(&(noise(&weight.size(), seed) * (6.0 / fan_in).sqrt()));
    }
    (store, network)
}

#[test]
fn a_batch_without_samples_goes_through_every_network_and_back() {
    for (precision, recompute) in [(Precision::Fp32, false), (Precision::Bf16, false), (Precision::Fp32, true)] {
        let common = Common { precision, recompute, dropout: 0.2, ..Common::default() };
        for config in networks(&common) {
            for kernels in kernels(precision) {
                for ranks in [None, Some(Arc::new(contract::Alone::default()) as Arc<dyn Ranks>)] {
                    let (store, network) = built(&config, kernels, ranks);
                    let before: Vec<_> = store.variables().into_iter().map(|(name, own)| (name, own.copy())).collect();
                    // Also a size that is padded.
                    for size in [32, 33] {
                        let x = Tensor::zeros([0, 3, size, size], (Kind::Float, Device::Cpu));
                        let y = network.forward_t(&x, true);
                        assert_eq!((y.size(), y.kind()), (vec![0, 2, size, size], Kind::Float), "{config:?}");
                        y.sum(Kind::Float).backward();
                    }
                    let after = store.variables();
                    for (name, before) in before {
                        let own = &after[&name];
                        assert!(own.equal(&before), "{name} of {config:?}, {kernels:?}");
                        let of = || own.grad().abs().max().double_value(&[]);
                        assert!(!own.requires_grad() || own.grad().defined() && of() == 0.0, "{name}, {config:?}");
                    }
                }
            }
        }
    }
}

/// Returns the outputs for rows of the batch, the summed gradients of all weights, and the running statistics.
fn pass(store: &VarStore, network: &dyn ModuleT, x: &Tensor, ranks: Option<&dyn Ranks>) -> [Tensor; 3] {
    let y = network.forward_t(x, true);
    // Logits are weighted, so that no gradient is 0 by symmetry.
    let towards = x.narrow(1, 0, 2).detach();
    (&y * (towards + 0.3)).sum(Kind::Float).backward();
    let mut named: Vec<(String, Tensor)> = store.variables().into_iter().collect();
    named.sort_by(|left, right| left.0.cmp(&right.0));
    let flat = |all: Vec<Tensor>| Tensor::cat(&all.iter().map(|own| own.flatten(0, -1)).collect::<Vec<_>>(), 0);
    let gradients = flat(named.iter().filter(|(_, own)| own.requires_grad()).map(|(_, own)| own.grad()).collect());
    if let Some(ranks) = ranks {
        ranks.sum(&[gradients.shallow_clone()]).unwrap();
    }
    let running = named.iter().filter(|(name, _)| name.contains("running")).map(|(_, own)| own.shallow_clone());
    [y.detach(), gradients, flat(running.collect())]
}

#[test]
fn ranks_compute_together_what_one_process_computes() {
    let whole = noise(&[4, 3, 32, 32], 1);
    for recompute in [false, true] {
        for config in networks(&Common { recompute, precision: Precision::Fp32, ..Common::default() }) {
            let kernels = Fused::Auto.kernels(Precision::Fp32);
            let (store, network) = built(&config, kernels, None);
            let alone = pass(&store, network.as_ref(), &whole, None);
            let given = Mutex::new(whole.shallow_clone());
            let found = together_owned(3, |ranks| {
                let [first, own] = [[0, 3], [3, 0], [3, 1]][ranks.rank()];
                let x = given.lock().unwrap().narrow(0, first, own).copy();
                let (store, network) = built(&config, kernels, Some(ranks.clone()));
                pass(&store, network.as_ref(), &x, Some(ranks.as_ref()))
            });
            let outputs: Vec<&Tensor> = found.iter().map(|rank| &rank[0]).collect();
            let far = |left: &Tensor, right: &Tensor| {
                ((left - right).abs().max() / right.abs().max().clamp_min(1e-30)).double_value(&[])
            };
            assert!(far(&Tensor::cat(&outputs, 0), &alone[0]) < 1e-4, "{config:?}");
            for rank in &found {
                assert!(rank[2].equal(&found[0][2]) && far(&rank[2], &alone[2]) < 1e-5, "{config:?}: statistics");
                let off = (&rank[1] - &alone[1]).norm() / alone[1].norm();
                assert!(off.double_value(&[]) < 1e-3, "{config:?}: gradients off by {off}");
            }
        }
    }
}
