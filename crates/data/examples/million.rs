//! Cost of a long list: `cargo run --release -p data --example million -- [SAMPLES]`.
//!
//! Writes a list of SAMPLES lines (default 1,000,000), each with two paths of about 40 bytes, into a temporary folder,
//! opens it, and shuffles it for one epoch. Prints the time of each step and the peak memory of the process so far.

use contract::Input;
use data::{Config, Loader, LoaderConfig, Order, Split};
use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::time::Instant;
use tch::Device;

fn main() -> Result<(), Box<dyn Error>> {
    let samples: u64 = std::env::args().nth(1).map_or(Ok(1_000_000), |count| count.parse())?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("train.txt");
    let mut file = BufWriter::new(File::create(&path)?);
    for i in 0..samples {
        let frame = format!("city_{:03}/frame_{i:08}_left", i % 500);
        writeln!(file, "/SegNet/train/{frame}.png /SegNet/masks/{frame}.png")?;
    }
    file.flush()?;
    println!("{samples} lines, {} MB", fs::metadata(&path)?.len() / 1_000_000);
    report("before", Instant::now());
    for split in [
        serde_json::json!({ "split": { "train": "train.txt", "validation": "val.txt" } }),
        serde_json::json!({ "split": { "fold": "1/5" }, "list": "train.txt" }),
    ] {
        let mut config = serde_json::json!({
            "kind": "list", "root": folder.path(), "strip_prefix": "/SegNet/", "classes": ["a", "b"]
        });
        if let (Some(config), Some(split)) = (config.as_object_mut(), split.as_object()) {
            config.extend(split.clone());
        }
        let config: Config = serde_json::from_value(config)?;
        let start = Instant::now();
        let dataset = config.open(Split::Train)?;
        report(&format!("open {} samples", dataset.len()), start);
        let samples = dataset.len();
        // Without workers an epoch from which no batch is taken is only its permutation.
        let alone = LoaderConfig { workers: 0, ..LoaderConfig::default() };
        let pipeline = config.pipeline(Split::Train);
        let loader = Loader::new(dataset.into(), pipeline, &alone, Order::Shuffled, 0, Device::Cpu)?;
        let start = Instant::now();
        drop(loader.epoch(0, 0));
        report(&format!("permutation of {samples} samples"), start);
    }
    Ok(())
}

/// Prints the time since `start` and the peak memory, which only Linux reports.
fn report(what: &str, start: Instant) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).map_or("unknown", str::trim);
    println!("{what}: {:.0} ms, peak {peak}", start.elapsed().as_secs_f64() * 1e3);
}
