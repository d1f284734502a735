//! Tests of networks whose batch is shared among ranks, some of which have no sample.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use contract::Ranks;
use model::{
    Block, Common, Config, EncoderConfig, Fused, Layers, MobileNetV2UNetConfig, Precision, ResNetUNetConfig,
    UNetConfig, Upsampling, is_here,
};
use std::sync::{Arc, Mutex};
use tch::nn::{ModuleT, VarStore};
use tch::{Device, Kind, Tensor};
use testing::{noise_f64, together_owned};
use torch_ext::Kernels;

/// Every network with every part that it may have, small.
fn networks(common: &Common) -> Vec<Config> {
    let unet = |upsampling, block, attention| {
        Config::Unet(UNetConfig { width: 16, depth: 2, upsampling, block, attention, common: common.clone() })
    };
    let (encoder, common) = (EncoderConfig::default(), common.clone());
    vec![
        unet(Upsampling::Transposed, Block::Plain, false),
        unet(Upsampling::Bilinear, Block::Residual, true),
        Config::MobilenetV2Unet(MobileNetV2UNetConfig { width_multiplier: 0.1, encoder, common: common.clone() }),
        Config::ResnetUnet(ResNetUNetConfig { layers: Layers::Eighteen, encoder, common }),
    ]
}

fn kernels(precision: Precision) -> impl Iterator<Item = Kernels> {
    [Kernels::Libtorch, Kernels::Own, Kernels::Winograd].into_iter().filter(move |kernels| is_here(*kernels, precision))
}

fn built(config: &Config, kernels: Kernels, ranks: Option<Arc<dyn Ranks>>) -> (VarStore, Box<dyn ModuleT>) {
    let store = VarStore::new(Device::Cpu);
    let network = config.build_with(&store, 3, 2, kernels, ranks).unwrap();
    (store, network)
}

#[test]
fn a_batch_without_samples_goes_through_every_network_and_back() {
    for (precision, recompute) in [(Precision::Fp32, false), (Precision::Bf16, true)] {
        let common = Common { precision, recompute, dropout: 0.2, ..Common::default() };
        for config in networks(&common) {
            for kernels in kernels(precision) {
                // BatchNorm over ranks leaves all kernels but those of convolutions aside.
                let alone = || Some(Arc::new(contract::Alone::default()) as Arc<dyn Ranks>);
                let ranks = if kernels == Kernels::Own { vec![None] } else { vec![None, alone()] };
                for ranks in ranks {
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
    // In f64: where a channel has few values, rounding grows from layer to layer.
    let whole = noise_f64(&[4, 3, 32, 32], 1);
    // The second run exchanges statistics too.
    for config in networks(&Common { recompute: true, precision: Precision::Fp32, ..Common::default() }) {
        let kernels = Fused::Auto.kernels(Precision::Fp32);
        let built = |ranks| {
            let (mut store, network) = built(&config, kernels, ranks);
            store.double();
            (store, network)
        };
        let (store, network) = built(None);
        let weights: Vec<_> = store.variables().into_iter().map(|(name, own)| (name, own.detach().copy())).collect();
        let alone = pass(&store, network.as_ref(), &whole, None);
        let given = Mutex::new((whole.shallow_clone(), weights));
        let found = together_owned(3, |ranks| {
            let [first, own] = [[0, 3], [3, 0], [3, 1]][ranks.rank()];
            let (store, network) = built(Some(ranks.clone()));
            let x = {
                let (given, _no_grad) = (given.lock().unwrap(), tch::no_grad_guard());
                let variables = store.variables();
                given.1.iter().for_each(|(name, weight)| variables[name].shallow_clone().copy_(weight));
                given.0.narrow(0, first, own).copy()
            };
            pass(&store, network.as_ref(), &x, Some(ranks.as_ref()))
        });
        let far = |left: &Tensor, right: &Tensor| ((left - right).norm() / right.norm()).double_value(&[]);
        let outputs: Vec<&Tensor> = found.iter().map(|rank| &rank[0]).collect();
        let off = far(&Tensor::cat(&outputs, 0), &alone[0]);
        assert!(off < 1e-6, "{config:?}: outputs in f32 are {off:e} apart");
        for rank in &found {
            assert!(rank[2].equal(&found[0][2]), "{config:?}: the same statistics on all ranks");
            let [gradients, statistics] = [1, 2].map(|number| far(&rank[number], &alone[number]));
            assert!(gradients < 1e-7 && statistics < 1e-9, "{config:?}: {gradients:e}, {statistics:e}");
        }
    }
}
