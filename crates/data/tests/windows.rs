//! Crops of images that are read alone.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use contract::Input;
use data::{Cache, Config, Loader, Order, Split};
use raster::{Depth, GeoTiffWriter, Pixels, TiffSettings};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use tch::{Device, Tensor};

fn write(path: &Path, settings: TiffSettings, rows: &Pixels) {
    let mut writer = GeoTiffWriter::new(File::create(path).unwrap(), settings).unwrap();
    writer.rows(rows).unwrap();
    writer.finish().unwrap();
}

/// Writes images of several sizes, of which one is smaller than a crop and one has pixels without data.
fn draw(folder: &Path) {
    for name in ["images", "masks"] {
        fs::create_dir(folder.join(name)).unwrap();
    }
    for (number, [height, width]) in (0u32..).zip([[90, 150], [20, 200], [300, 70], [31, 33]]) {
        let places = height * width;
        let value = |place: u32| if number == 2 && place % 97 < 40 { 0 } else { 1000 + (place * 7919 % 3001) as u16 };
        let image: Pixels = (0..places * 4).map(value).collect();
        let settings = TiffSettings { no_data: Some(0.0), ..TiffSettings::new([height, width], 4, Depth::U16) };
        write(&folder.join(format!("images/{number}.tif")), settings, &image);
        let mask: Pixels = (0..places).map(|place| (place / 13 % 3) as u8).collect();
        write(&folder.join(format!("masks/{number}.tif")), TiffSettings::new([height, width], 1, Depth::U8), &mask);
    }
}

fn config(folder: &Path, more: Value) -> Config {
    let mut config = json!({
        "kind": "folders", "root": folder, "classes": ["a", "b", "c"], "size": [32, 48], "channels": [4, 1, 2],
        "depth": "u16", "range": [1000, 4000], "resize": {"kind": "none"}, "split": {"validation_fraction": 0.5},
        "transforms": [{"kind": "random_crop"}, {"kind": "horizontal_flip"}], "loader": {"batch_size": 2}
    });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(config).unwrap()
}

fn batches(config: &Config, split: Split) -> Vec<[Tensor; 2]> {
    let tell: data::Tell = Arc::new(|_: data::Told| ());
    let dataset = config.open_cached(split, 1, &tell).unwrap();
    let pipeline = config.pipeline(split);
    let loader = Loader::new(dataset, pipeline, config.loader(), Order::Shuffled, 3, Device::Cpu).unwrap();
    let epochs = (0..4).flat_map(|epoch| loader.epoch(epoch, 0).collect::<Vec<_>>());
    epochs.map(|batch| batch.unwrap()).map(|batch| [batch.inputs, batch.targets]).collect()
}

#[test]
fn a_crop_that_is_read_alone_is_that_of_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    draw(folder.path());
    for split in [Split::Train, Split::Validation] {
        // A cache keeps whole images, and cuts the same pieces out of them.
        let alone = batches(&config(folder.path(), json!({})), split);
        let of_whole = config(folder.path(), json!({"loader": {"batch_size": 2, "cache": "memory"}}));
        assert_eq!(of_whole.loader().cache, Cache::Memory);
        let of_whole = batches(&of_whole, split);
        assert_eq!(alone.len(), of_whole.len());
        for (alone, whole) in alone.iter().zip(&of_whole) {
            assert!(alone[0].equal(&whole[0]) && alone[1].equal(&whole[1]));
            assert_eq!(alone[0].size()[1..], [3, 32, 48]);
        }
    }
}

/// Writes a TIFF of 20,000 × 20,000 pixels of four bands in which all tiles are the same bytes of the file.
fn enormous(path: &Path, bands: u16, bits: u16, value: u8) {
    let (side, tile) = (20_000u32, 512u32);
    let bytes = tile * tile * u32::from(bands) * u32::from(bits) / 8;
    let tiles = side.div_ceil(tile).pow(2);
    let mut file = b"II*\0".to_vec();
    let data = 8u32;
    file.extend((data + bytes).to_le_bytes());
    file.extend(std::iter::repeat_n(value, bytes as usize));
    let mut entries: Vec<(u16, u16, u32, Vec<u8>)> = Vec::new();
    let long = |tag: u16, value: u32| (tag, 4, 1, value.to_le_bytes().to_vec());
    let shorts = |tag: u16, values: &[u16]| {
        (tag, 3, values.len() as u32, values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
    };
    entries.extend([long(256, side), long(257, side), shorts(258, &vec![bits; bands.into()]), shorts(259, &[1])]);
    entries.extend([shorts(262, &[1]), shorts(277, &[bands]), shorts(284, &[1]), long(322, tile), long(323, tile)]);
    let all = |value: u32| std::iter::repeat_n(value, tiles as usize).flat_map(u32::to_le_bytes).collect::<Vec<u8>>();
    entries.extend([(324, 4, tiles, all(data)), (325, 4, tiles, all(bytes))]);
    if bands > 1 {
        entries.push(shorts(338, &vec![0; usize::from(bands) - 1]));
    }
    let mut beyond = Vec::new();
    let after = data + bytes + 2 + 12 * entries.len() as u32 + 4;
    file.extend((entries.len() as u16).to_le_bytes());
    for (tag, kind, count, mut value) in entries {
        file.extend(tag.to_le_bytes());
        file.extend(kind.to_le_bytes());
        file.extend(count.to_le_bytes());
        if value.len() > 4 {
            file.extend((after + beyond.len() as u32).to_le_bytes());
            beyond.append(&mut value);
        } else {
            value.resize(4, 0);
            file.extend(value);
        }
    }
    file.extend([0; 4]);
    file.extend(beyond);
    fs::write(path, file).unwrap();
}

#[test]
fn crops_come_from_images_that_are_never_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["images", "masks"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    for name in ["a", "b"] {
        enormous(&folder.path().join(format!("images/{name}.tif")), 4, 16, 9);
        enormous(&folder.path().join(format!("masks/{name}.tif")), 1, 8, 2);
    }
    let config = config(folder.path(), json!({"range": null}));
    for split in [Split::Train, Split::Validation] {
        let whole = config.open(split).unwrap().load(0, &mut data::Sample::default()).unwrap_err().to_string();
        assert!(whole.contains("GB in memory"), "{whole}");
        for [inputs, targets] in batches(&config, split) {
            let value = f64::from(0x0909) / 65_535.0;
            assert!((inputs - value).abs().max().double_value(&[]) < 1e-7);
            assert_eq!(targets.eq(2).all().int64_value(&[]), 1);
        }
    }
}
