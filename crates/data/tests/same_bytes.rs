//! Batches of class ids stay what they were in every version before, to the bit: published results and runs that are
//! resumed depend on it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

use contract::Input;
use data::{Config, Loader, Order, Split};
use serde_json::{Value, json};
use tch::Device;

const FNV: u64 = 0xcbf2_9ce4_8422_2325;

fn hash(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Hashes two epochs of batches (FNV-1a) that these transforms make.
fn batches(size: [u32; 2], transforms: Value) -> u64 {
    let config = json!({
        "kind": "shapes", "size": size, "train_samples": 40, "transforms": transforms,
        "loader": {"batch_size": 16, "workers": 2}, "normalize": {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.25]},
    });
    let config: Config = serde_json::from_value(config).unwrap();
    let (dataset, pipeline) = (config.open(Split::Train).unwrap().into(), config.pipeline(Split::Train));
    let loader = Loader::new(dataset, pipeline, config.loader(), Order::Shuffled, 3, Device::Cpu).unwrap();
    (0..2).flat_map(|epoch| loader.epoch(epoch, 0)).fold(FNV, |sum, batch| {
        let batch = batch.unwrap();
        let inputs = Vec::<f32>::try_from(batch.inputs.contiguous().view(-1)).unwrap();
        let targets = Vec::<i64>::try_from(batch.targets.view(-1)).unwrap();
        let sum = inputs.iter().fold(hash(sum, batch.names.concat().as_bytes()), |sum, x| hash(sum, &x.to_le_bytes()));
        targets.iter().fold(sum, |sum, id| hash(sum, &[*id as u8]))
    })
}

#[test]
fn every_transform_gives_the_bytes_that_it_gave_before_targets_could_be_numbers() {
    let found = [
        json!([{"kind": "horizontal_flip"}, {"kind": "vertical_flip"}, {"kind": "rotate90"}]),
        json!([{"kind": "affine", "rotate": 90}, {"kind": "coarse_dropout"}]),
        json!([{"kind": "random_resized_crop"}, {"kind": "cut_mix"}]),
        json!([
            {"kind": "affine"}, {"kind": "rotate90"}, {"kind": "random_crop", "class": "circle", "at_least": 0.2},
            {"kind": "color_jitter"}, {"kind": "gaussian_blur"}, {"kind": "gaussian_noise"}, {"kind": "cut_mix"},
        ]),
    ]
    .map(|transforms| batches([40, 56], transforms));
    let expected =
        [5_213_482_032_577_408_948, 17_192_570_505_537_840_459, 8_161_966_368_650_914_822, 10_640_751_778_964_381_074];
    assert_eq!(found, expected);
}
