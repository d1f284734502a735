//! Compares the rate of checkpoint writing with the disk's own rate, in a few seconds: for work on the writing itself.
//! Its cost to a training is measured by `scripts/bench checkpoint`.
//!
//! `cargo run --release -p checkpoint --example speed -- FOLDER` writes 370 MB into FOLDER, again and again.

use checkpoint::{BackgroundWriter, Config, Snapshot, Store};
use contract::{Progress, StateDict};
use std::{error::Error, fs, fs::File, io::Write, path::Path, time::Instant};
use tch::{Device, Kind, Tensor};

/// Returns two states of the size of a UNet's 31 million weights and Adam's two moments of each, channels-last.
fn states(device: Device) -> Vec<(String, StateDict)> {
    let layers = [(1024, 1024), (1024, 512), (512, 1024), (512, 512), (256, 512), (256, 256), (128, 256)];
    let state = || -> StateDict {
        let weight = |(outputs, inputs)| Tensor::randn([outputs, 3, 3, inputs], (Kind::Float, device));
        let weights = layers.iter().chain(&layers).map(|&layer| weight(layer).permute([0, 3, 1, 2]));
        weights.enumerate().map(|(i, weight)| (format!("layer{i:02}.weight"), weight)).collect()
    };
    ["model", "optimizer"].map(|name| (name.into(), state())).into()
}

/// Returns the seconds to write `bytes` to two files in the simplest way.
fn plainly(folder: &Path, bytes: &[u8]) -> Result<f64, Box<dyn Error>> {
    let start = Instant::now();
    for (name, half) in ["a", "b"].iter().zip(bytes.chunks(bytes.len().div_ceil(2))) {
        let mut file = File::create(folder.join(name))?;
        half.chunks(1 << 20).try_for_each(|block| file.write_all(block))?;
        file.sync_all()?;
    }
    let seconds = start.elapsed().as_secs_f64();
    ["a", "b"].iter().try_for_each(|name| fs::remove_file(folder.join(name)))?;
    Ok(seconds)
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("give the folder to write into")?;
    let device = Device::cuda_if_available();
    let mut writer = BackgroundWriter::new(Store::new(&folder, &Config { keep_last: 1, ..Config::default() }));
    let states = states(device);
    let running = Snapshot {
        progress: Progress { epoch: 1, batch: 0, step: 1, samples: 1 },
        states: states.into_iter().collect(),
        scores: [].into(),
        about: serde_json::Value::Null,
    };
    let bytes = vec![1; running.bytes() as usize];
    let megabytes = bytes.len() as f64 / 1e6;
    for step in 1..=7 {
        let start = Instant::now();
        let copied = Snapshot { progress: Progress { step, ..running.progress }, ..running.copied()? };
        let copying = start.elapsed().as_secs_f64() * 1e3;
        writer.save(copied);
        let saved = writer.wait().ok_or("nothing was saved")??;
        let (rate, disk) = (megabytes / saved.seconds, megabytes / plainly(Path::new(&folder), &bytes)?);
        println!(
            "{megabytes:.0} MB copied from {device:?} in {copying:.0} ms, written at {rate:.0} MB/s; plainly at {disk:.0}"
        );
    }
    Ok(())
}
