//! What a checkpoint costs: the copy, which a training step pays for, and the writing in the background.
//!
//! `cargo run --release -p checkpoint --example speed -- FOLDER` writes 370 MB into FOLDER, three times.

use checkpoint::{Config, Snapshot, Store, Writer};
use contract::{Progress, StateDict};
use std::{error::Error, time::Instant};
use tch::{Device, Kind, Tensor};

/// 31 million weights as a UNet has them, channels-last, and two moments of each.
fn states(device: Device) -> Vec<(String, StateDict)> {
    let layers = [(1024, 1024), (1024, 512), (512, 1024), (512, 512), (256, 512), (256, 256), (128, 256)];
    let state = || -> StateDict {
        let weight = |(outputs, inputs)| Tensor::randn([outputs, 3, 3, inputs], (Kind::Float, device));
        let weights = layers.iter().chain(&layers).map(|&layer| weight(layer).permute([0, 3, 1, 2]));
        weights.enumerate().map(|(i, weight)| (format!("layer{i:02}.weight"), weight)).collect()
    };
    ["model", "optimizer"].map(|name| (name.into(), state())).into()
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("give the folder to write into")?;
    let device = Device::cuda_if_available();
    let mut writer = Writer::new(Store::new(folder, &Config::default()));
    let states = states(device);
    for step in 1..=3 {
        let states = states.iter().map(|(name, state)| {
            (name.clone(), state.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect())
        });
        let progress = Progress { epoch: step, batch: 0, step, samples: step };
        let running =
            Snapshot { progress, states: states.collect(), scores: [].into(), about: serde_json::Value::Null };
        let start = Instant::now();
        let copied = running.copied()?;
        let copying = start.elapsed().as_secs_f64();
        let megabytes = copied.bytes() as f64 / 1e6;
        println!("{megabytes:.0} MB copied from {device:?} in {:.0} ms", copying * 1e3);
        writer.save(copied);
        let saved = writer.wait().ok_or("nothing was saved")??;
        println!("{megabytes:.0} MB written in {:.2} s: {:.0} MB/s", saved.seconds, megabytes / saved.seconds);
    }
    Ok(())
}
