//! Crops around rare classes: where they lie, from windows and from whole images, and what resuming and ranks make of
//! them.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use contract::Input;
use data::{Config, Dataset, Loader, LoaderConfig, Order, Pipeline, Sample, Split, Target, Tell, Told, indexed};
use raster::{Depth, GeoTiffWriter, Pixels, TiffSettings};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::path::Path;
use std::sync::{Arc, Mutex};
use tch::{Device, Tensor};

fn write(path: &Path, size: [u32; 2], bands: u16, depth: Depth, numbers: &Pixels) {
    let settings = TiffSettings::new(size, bands.into(), depth);
    let mut writer = GeoTiffWriter::new(File::create(path).unwrap(), settings).unwrap();
    writer.rows(numbers).unwrap();
    writer.finish().unwrap();
}

/// Writes eight images of 300 × 400 pixels whose numbers are their places; half of them have an object of 3 × 3 pixels.
fn draw(folder: &Path) {
    for name in ["images", "masks"] {
        fs::create_dir(folder.join(name)).unwrap();
    }
    let [height, width] = [300u32, 400];
    for number in 0..8u32 {
        let image: Pixels = (0..height * width).map(|place| (place % 60_000) as u16).collect();
        write(&folder.join(format!("images/{number}.tif")), [height, width], 1, Depth::U16, &image);
        let (top, left) = (37 * number + 5, 390 - 50 * number);
        let id = |place: u32| {
            let [row, column] = [place / width, place % width];
            let within = (top..top + 3).contains(&row) && (left..left + 3).contains(&column);
            u8::from(within && number.is_multiple_of(2))
        };
        let mask: Pixels = (0..height * width).map(id).collect();
        write(&folder.join(format!("masks/{number}.tif")), [height, width], 1, Depth::U8, &mask);
    }
    fs::write(folder.join("train.txt"), "0\n1\n2\n3\n4\n5\n6\n").unwrap();
    fs::write(folder.join("validation.txt"), "7\n").unwrap();
}

fn config(folder: &Path, more: Value) -> Config {
    let mut config = json!({
        "kind": "folders", "root": folder, "classes": ["ground", "object"], "size": [32, 48], "channels": 1,
        "depth": "u16", "resize": {"kind": "none"}, "split": {"train": "train.txt", "validation": "validation.txt"},
        "transforms": [{"kind": "random_crop", "foreground": 0.5}, {"kind": "horizontal_flip"}],
        "loader": {"batch_size": 3, "cache_folder": folder.join("cache")}
    });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(config).unwrap()
}

fn loader(config: &Config, [rank, count]: [usize; 2]) -> Loader {
    let tell: Tell = Arc::new(|_: Told| ());
    let dataset = config.open_cached(Split::Train, 1, &tell).unwrap();
    let pipeline = config.pipeline(Split::Train);
    Loader::new(dataset, pipeline, config.loader(), Order::Shuffled, 3, Device::Cpu).unwrap().of_rank(rank, count)
}

fn batches(loader: &Loader, epoch: u64, skip: u64) -> Vec<(Tensor, Tensor, Vec<String>)> {
    loader
        .epoch(epoch, skip)
        .map(|batch| batch.unwrap())
        .map(|batch| (batch.inputs, batch.targets, batch.names))
        .collect()
}

#[test]
fn pieces_are_the_same_from_windows_and_from_whole_images_for_any_workers_ranks_and_resumption() {
    let folder = tempfile::tempdir().unwrap();
    draw(folder.path());
    let cache = folder.path().join("cache");
    for mixed in [1.0, 0.9] {
        let transforms =
            json!([{"kind": "random_crop", "foreground": 0.5, "cat_max_ratio": mixed}, {"kind": "horizontal_flip"}]);
        for sampler in [json!({"kind": "uniform"}), json!({"kind": "balanced"})] {
            let with = |more: Value| {
                let mut options =
                    json!({"batch_size": 3, "cache_folder": cache, "sampler": sampler, "epoch_samples": 10});
                options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                config(folder.path(), json!({"loader": options, "transforms": transforms}))
            };
            let alone = loader(&with(json!({"workers": 0})), [0, 1]);
            assert_eq!((alone.samples(), alone.len()), (10, 4));
            let others = [json!({"workers": 3}), json!({"cache": "memory"}), json!({"cache": "disk"})];
            let others = others.map(|more| loader(&with(more), [0, 1]));
            let ranks = [0, 1].map(|rank| loader(&with(json!({})), [rank, 2]));
            for epoch in [0, 1, 5] {
                let expected = batches(&alone, epoch, 0);
                assert_eq!(expected.iter().map(|batch| batch.2.len()).collect::<Vec<_>>(), [3, 3, 3, 1]);
                for skip in [0, 2] {
                    for other in &others {
                        let found = batches(other, epoch, skip);
                        assert_eq!(found.len(), expected.len() - skip as usize);
                        for (found, expected) in found.iter().zip(&expected[skip as usize..]) {
                            assert!(found.0.equal(&expected.0) && found.1.equal(&expected.1) && found.2 == expected.2);
                        }
                    }
                }
                let [first, second] = [0, 1].map(|rank| batches(&ranks[rank], epoch, 0));
                for ((first, second), expected) in first.iter().zip(&second).zip(&expected) {
                    let joined = Tensor::cat(&[&first.0, &second.0], 0);
                    assert!(joined.equal(&expected.0) && [&first.2[..], &second.2].concat() == expected.2);
                }
            }
        }
    }
}

#[test]
fn the_share_of_pieces_around_objects_is_that_of_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    draw(folder.path());
    let share = |foreground: f64| {
        let transforms = json!([{"kind": "random_crop", "foreground": foreground}]);
        let options =
            json!({"batch_size": 50, "epoch_samples": 700, "workers": 0, "cache_folder": folder.path().join("c")});
        let mut loaded = [0.0; 2];
        let options =
            if foreground > 0.0 { options } else { json!({"batch_size": 50, "epoch_samples": 700, "workers": 0}) };
        for (_, targets, names) in
            batches(&loader(&config(folder.path(), json!({"transforms": transforms, "loader": options})), [0, 1]), 0, 0)
        {
            let shows = Vec::<i64>::try_from(targets.flatten(1, 2).amax([1], false)).unwrap();
            for (shows, name) in shows.iter().zip(&names) {
                if name.parse::<u64>().unwrap().is_multiple_of(2) {
                    loaded[0] += 1.0;
                    loaded[1] += *shows as f64;
                } else {
                    assert_eq!(*shows, 0);
                }
            }
        }
        assert_eq!(loaded[0], 400.0);
        loaded[1] / loaded[0]
    };
    // Anywhere, a piece meets an object with the probability 34/269 x 50/353 = 0.0179 in the middle of an image, and
    // less at its edges; 0.5 and 1 add that share of objects. Three deviations of 400 draws are 0.075.
    let [none, half, all] = [0.0, 0.5, 1.0].map(share);
    assert!(none < 0.05 && (half - 0.507).abs() < 0.075 && all == 1.0, "{none}, {half}, {all}");
}

/// Samples of 8 × 8 pixels whose class is their index below 3, in one corner.
struct Corners;

impl Dataset for Corners {
    fn len(&self) -> u64 {
        3
    }
    fn size(&self) -> Option<[u32; 2]> {
        Some([8, 8])
    }
    fn name(&self, index: u64) -> String {
        index.to_string()
    }
    fn load(&self, index: u64, sample: &mut Sample) -> Result<(), data::Error> {
        let mut ids = vec![0; 64];
        ids[0] = index as u8;
        *sample = Sample { size: [8, 8], image: vec![0u8; 192].into(), target: Target::Classes(ids) };
        Ok(())
    }
}

#[test]
fn a_crop_later_in_the_list_needs_no_index_and_the_first_one_does() {
    let crop = json!({"kind": "random_crop", "foreground": 1});
    let pipeline =
        |list: Value| Pipeline { transforms: serde_json::from_value(list).unwrap(), ..Pipeline::plain([3, 3]) };
    let new = |dataset: Arc<dyn Dataset>, list: Value, more: Value| {
        let config: LoaderConfig = serde_json::from_value(more).unwrap();
        Loader::new(dataset, pipeline(list), &config, Order::Shuffled, 1, Device::Cpu)
    };
    let corners = || indexed(Arc::new(Corners), 1).unwrap();
    let first = new(Arc::new(Corners), json!([crop]), json!({})).err().unwrap();
    assert!(first.key == "transforms[0].foreground" && first.problem.contains("Config::open_cached"), "{first}");
    let sampler = new(Arc::new(Corners), json!([]), json!({"sampler": {"kind": "balanced"}})).err().unwrap();
    assert_eq!(sampler.key, "loader.sampler");
    for loader in [
        new(corners(), json!([crop]), json!({})).unwrap(),
        new(Arc::new(Corners), json!([{"kind": "invert"}, crop]), json!({})).unwrap(),
        new(Arc::new(Corners), json!([{"kind": "rotate90", "probability": 1}, crop]), json!({})).unwrap(),
    ] {
        for (_, targets, names) in (0..20).flat_map(|epoch| batches(&loader, epoch, 0)) {
            for (at, name) in (0..).zip(&names) {
                // Of a sample that shows nothing but class 0, any piece is taken.
                let most = targets.get(at).max().int64_value(&[]);
                assert_eq!(most, name.parse::<i64>().unwrap());
            }
        }
    }
}

#[test]
fn the_index_is_told_of_and_only_training_needs_it() {
    let folder = tempfile::tempdir().unwrap();
    draw(folder.path());
    let heard = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&heard);
    let tell: Tell = Arc::new(move |told| into.lock().unwrap().push(format!("{told:?}")));
    let config = config(folder.path(), json!({}));
    assert!(config.open_cached(Split::Validation, 1, &tell).unwrap().class_index().is_none());
    let dataset = config.open_cached(Split::Train, 1, &tell).unwrap();
    let shown: Vec<usize> = (0..7).map(|at| dataset.class_index().unwrap().present(at).len()).collect();
    assert_eq!(shown, [2, 1, 2, 1, 2, 1, 2]);
    let heard = heard.lock().unwrap();
    assert!(heard.len() == 8 && heard[7].starts_with("Indexed("), "{heard:?}");
}

#[test]
fn what_cannot_work_is_refused_with_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |crop: Value, loader: Value| {
        let mut transform = json!({"kind": "random_crop"});
        transform.as_object_mut().unwrap().extend(crop.as_object().unwrap().clone());
        let config = config(folder.path(), json!({"transforms": [transform], "loader": loader}));
        config.check().unwrap_err().to_string()
    };
    for (crop, says) in [
        (json!({"foreground": 1.5}), "transforms[0].foreground: must be 0 to 1, is 1.5"),
        (json!({"foreground": -0.1}), "transforms[0].foreground: must be 0 to 1, is -0.1"),
        (json!({"class": "object"}), "transforms[0].at_least: must be above 0 for the class to matter, or foreground"),
        (json!({"class": "dog", "foreground": 0.3}), "transforms[0].class"),
        (
            json!({"class": "object", "foreground": 0.3, "at_least": 0.1}),
            "transforms[0].at_least: must be 0 with foreground",
        ),
        (json!({"cat_max_ratio": 0}), "transforms[0].cat_max_ratio: must be above 0 and up to 1, is 0"),
        (json!({"cat_max_ratio": 1.01}), "transforms[0].cat_max_ratio: must be above 0 and up to 1, is 1.01"),
        (
            json!({"class": 1, "at_least": 0.1, "cat_max_ratio": 0.5}),
            "transforms[0].cat_max_ratio: must be 1 with at_least",
        ),
        (json!({"foreground": 0.3, "tries": 0}), "transforms[0].tries: must be 1 to 1000"),
    ] {
        let error = refused(crop, json!({}));
        assert!(error.contains(says), "expected \"{says}\" in: {error}");
    }
    for (loader, says) in [
        (json!({"sampler": {"kind": "repeat_factors", "threshold": 0}}), "loader.sampler.threshold: must be a share"),
        (json!({"epoch_samples": 0}), "loader.epoch_samples: must be 1 to 100000000"),
        (json!({"cache_folder": "c"}), "loader.cache_folder: says where a cache on disk or an index"),
    ] {
        let error = refused(json!({}), loader);
        assert!(error.contains(says), "expected \"{says}\" in: {error}");
    }
    let one = config(folder.path(), json!({"classes": ["ground"]})).check().unwrap_err().to_string();
    assert!(one.contains("transforms[0].foreground: must be 0: there is no class but the first"), "{one}");
    for wrong in [
        json!({"kind": "balanced", "threshold": 0.5}),
        json!({"kind": "repeat_factors"}),
        json!({"kind": "rare"}),
        json!("balanced"),
    ] {
        serde_json::from_value::<LoaderConfig>(json!({"sampler": wrong})).unwrap_err();
    }
}
