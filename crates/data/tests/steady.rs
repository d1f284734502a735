//! Long-run cost of loading: memory does not grow, and buffers are reused from sample to sample.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

use contract::Input;
use data::{Config, Loader, Order, Split, Tell};
use image::{GrayImage, Luma, Rgb, RgbImage};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tch::Device;

/// Serialises the tests: the measured memory is that of the whole process.
static ALONE: Mutex<()> = Mutex::new(());

/// Writes two folders of photographs (JPEG) and masks, `samples` of each, all for training but one or a few.
fn write(root: &Path, samples: u32) {
    for folder in ["images", "masks"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    for number in 0..samples {
        let (width, height) = (90 + number % 9, 70 + number % 5);
        let wave = |x: u32, y: u32, turn: u32| (x * turn + y * (number % 4 + 1)) as u8;
        let image = RgbImage::from_fn(width, height, |x, y| Rgb([wave(x, y, 2), wave(x, y, 3), wave(x, y, 1)]));
        image.save(root.join(format!("images/{number:03}.jpg"))).unwrap();
        let mask = GrayImage::from_fn(width, height, |x, _| Luma([u8::from(x > 40)]));
        mask.save(root.join(format!("masks/{number:03}.png"))).unwrap();
    }
}

/// Returns batches of that folder with every transform except those in `without`.
fn loader(root: &Path, loader: Value, without: &[&str]) -> Loader {
    let mut config = json!({
        "kind": "folders", "root": root, "classes": ["a", "b"], "size": [64, 64], "split": {"validation_fraction": 0.1},
        "loader": loader,
        "transforms": [{"kind": "horizontal_flip"}, {"kind": "rotate90"}, {"kind": "affine"}, {"kind": "color_jitter"},
                       {"kind": "gaussian_blur"}, {"kind": "gaussian_noise"}, {"kind": "coarse_dropout"},
                       {"kind": "random_resized_crop"}, {"kind": "random_crop"}, {"kind": "cut_mix"}],
    });
    let transforms = config["transforms"].as_array_mut().unwrap();
    transforms.retain(|transform| without.iter().all(|kind| transform["kind"] != *kind));
    let config: Config = serde_json::from_value(config).unwrap();
    let silent: Tell = Arc::new(|_| ());
    let dataset = config.open_cached(Split::Train, 1, &silent).unwrap();
    let pipeline = config.pipeline(Split::Train);
    Loader::new(dataset, pipeline, config.loader(), Order::Shuffled, 0, Device::Cpu).unwrap()
}

fn run(loader: &Loader, epoch: u64) -> u64 {
    loader.epoch(epoch, 0).map(|batch| batch.unwrap().names.len() as u64).sum()
}

/// Returns the process's resident memory in kilobytes, where the system reports it.
fn resident() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix("kB")?.trim().parse().ok())
}

#[test]
fn memory_stays_as_it_is_over_a_hundred_epochs() {
    let _alone = ALONE.lock();
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 40);
    for cache in ["none", "memory", "disk"] {
        let mut options = json!({"batch_size": 8, "workers": 2, "prefetch": 3, "cache": cache});
        if cache == "disk" {
            options["cache_folder"] = json!(folder.path().join("cache"));
        }
        let loader = loader(folder.path(), options, &[]);
        (0..20).for_each(|epoch| assert!(run(&loader, epoch) > 20));
        let Some(before) = resident() else { return };
        (20..120).for_each(|epoch| _ = run(&loader, epoch));
        let after = resident().unwrap();
        assert!((after / before - 1.0).abs() < 0.05, "cache {cache}: {before} kB, then {after} kB");
    }
}

#[test]
fn a_sample_of_a_cache_costs_no_memory_but_its_name() {
    let _alone = ALONE.lock();
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 72);
    for (cache, batch_size) in [("memory", 64), ("memory", 8), ("disk", 8)] {
        let mut options = json!({"batch_size": batch_size, "workers": 0, "cache": cache});
        if cache == "disk" {
            options["cache_folder"] = json!(folder.path().join("cache"));
        }
        // When resizing, fast_image_resize makes a new table of weights for every picture.
        let loader = loader(folder.path(), options, &["random_resized_crop"]);
        (0..5).for_each(|epoch| _ = run(&loader, epoch));
        let mut samples = 0;
        let counted = allocation_counter::measure(|| samples = run(&loader, 5));
        let (count, bound) = (counted.count_total, samples + 16 * loader.len());
        assert!(samples > 50 && count <= bound, "{cache}, {batch_size}: {count} for {samples} samples");
    }
}
