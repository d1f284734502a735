//! Running statistics of BatchNorm under batches that are not finite.

use super::*;
use crate::{UNet, UNetConfig};
use contract::{StateDict, Stateful};
use tch::Device;
use testing::noise;

/// Makes a network with the same weights at every call.
fn unet() -> (VarStore, UNet) {
    let mut store = VarStore::new(Device::Cpu);
    let unet = UNet::new(&store.root(), 3, 2, &UNetConfig { width: 4, depth: 2, ..UNetConfig::default() });
    let values = (0..).zip(Stateful::state(&store));
    let values = values.map(|(seed, (name, tensor))| (name, noise(&tensor.size(), seed).abs() * 0.2));
    store.load_state(&values.collect()).unwrap();
    (store, unet)
}

fn guarded(precision: Precision) -> (VarStore, Precise) {
    let (store, unet) = unet();
    let model = Precise::new(Box::new(unet), &store, precision).unwrap();
    (store, model)
}

fn batch(seed: u64) -> Tensor {
    noise(&[3, 3, 8, 8], seed)
}

fn statistics(store: &VarStore) -> StateDict {
    let all = Stateful::state(store).into_iter().filter(|(name, _)| name.contains("running"));
    let all: StateDict = all.map(|(name, tensor)| (name, tensor.copy())).collect();
    assert_eq!(all.len(), 20);
    all
}

fn assert_same(left: &StateDict, right: &StateDict) {
    assert!(left.keys().eq(right.keys()));
    for ((name, left), right) in left.iter().zip(right.values()) {
        assert!(left.equal(right), "{name}: {left} and {right}");
    }
}

/// Returns batches that spoil the running statistics, with their names.
fn bad_batches() -> Vec<(&'static str, Tensor)> {
    let with = |value: f64| {
        let all = batch(7);
        let _ = all.get(1).get(0).get(3).get(3).fill_(value);
        all
    };
    let overflows = batch(7) * 1e30;
    vec![
        ("NaN everywhere", batch(7) * f64::NAN),
        ("NaN in one sample", with(f64::NAN)),
        ("infinity in one sample", with(f64::INFINITY)),
        ("variances that overflow", overflows),
    ]
}

#[test]
fn a_batch_that_is_not_finite_leaves_the_statistics_as_they_were() {
    for precision in [Precision::Fp32, Precision::Bf16] {
        for (case, bad) in bad_batches() {
            let (store, model) = guarded(precision);
            let _ = model.forward_t(&batch(1), true);
            let before = statistics(&store);
            let outputs = model.forward_t(&bad, true);
            assert_same(&statistics(&store), &before);
            outputs.sum(Kind::Float).backward();
            assert!(store.trainable_variables().iter().all(|weight| weight.grad().defined()), "{case}");
            assert!(model.forward_t(&batch(2), false).isfinite().all().int64_value(&[]) == 1, "{case}");
        }
    }
}

#[test]
fn without_the_guard_they_would_be_spoilt() {
    for (case, bad) in bad_batches() {
        let (store, unet) = unet();
        let _ = unet.forward_t(&bad, true);
        let finite = |tensor: &Tensor| tensor.isfinite().all().int64_value(&[]) == 1;
        assert!(!statistics(&store).values().all(finite), "{case}: a useless case");
    }
}

#[test]
fn good_batches_change_them_and_the_gradients_as_if_there_were_no_guard() {
    for precision in [Precision::Fp32, Precision::Bf16] {
        let ((store, model), (bare_store, bare)) = (guarded(precision), unet());
        let weights = bare_store.variables().into_values().filter(|weight| weight.dim() == 4);
        weights.for_each(|weight| ext::make_channels_last(&weight).unwrap());
        // A store without variables leaves nothing to guard.
        let bare = Precise::new(Box::new(bare), &VarStore::new(Device::Cpu), precision).unwrap();
        for seed in 1..4 {
            for model in [&model, &bare] {
                model.forward_t(&batch(seed), true).square().mean(Kind::Float).backward();
            }
            let (left, right) = (store.variables(), bare_store.variables());
            for (name, tensor) in &left {
                let other = &right[name];
                assert!(tensor.equal(other), "{precision:?}, {name}: {tensor} and {other}");
                assert!(!tensor.requires_grad() || tensor.grad().equal(&other.grad()), "{precision:?}, {name}");
            }
            // A bad batch in between, for the guarded network only.
            let _ = model.forward_t(&(batch(9) * f64::NAN), true);
        }
    }
}

#[test]
fn the_buffers_are_those_of_the_network_also_after_a_load() {
    let (mut store, model) = guarded(Precision::Fp32);
    let loaded: StateDict = Stateful::state(&store).into_iter().map(|(name, t)| (name, t.ones_like())).collect();
    store.load_state(&loaded).unwrap();
    let _ = model.forward_t(&(batch(1) * f64::NAN), true);
    statistics(&store).values().for_each(|tensor| assert!(tensor.equal(&tensor.ones_like())));
}

#[test]
fn an_evaluation_changes_nothing_and_a_network_without_statistics_needs_none() {
    let (store, model) = guarded(Precision::Fp32);
    let before = statistics(&store);
    let _ = model.forward_t(&(batch(1) * f64::NAN), false);
    assert_same(&statistics(&store), &before);

    let store = VarStore::new(Device::Cpu);
    let conv = tch::nn::conv2d(store.root(), 3, 2, 1, Default::default());
    let model = Precise::new(Box::new(conv), &store, Precision::Fp32).unwrap();
    assert_eq!(model.forward_t(&batch(1), true).size(), [3, 2, 8, 8]);
}

#[test]
fn nothing_is_read_from_the_device_in_a_pass() {
    let (_store, model) = guarded(Precision::Fp32);
    let (good, bad) = (batch(1), batch(2) * f64::NAN);
    let reads = ext::Reads::watch().unwrap();
    let outputs = model.forward_t(&good, true) + model.forward_t(&bad, true);
    assert_eq!(reads.count(), 0);
    assert!(outputs.double_value(&[0, 0, 0, 0]).is_nan() && reads.count() == 1);
}
