//! A data set of another team, with maps of numbers as targets: the same guarantees as for masks, by what this crate
//! makes public alone.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

use contract::{Batch, Input, Invalid};
use data::{
    Dataset, Error, Loader, LoaderConfig, Order, Pipeline, Resize, Sample, Target, Targets, Transform, Values,
    in_memory, verify, verify_all_but,
};
use serde_json::{Value, json};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tch::{Device, Kind};

const SIZE: [u32; 2] = [6, 8];

/// `len` samples whose number at (channel, row, column) is 1000 × index + 100 × channel + 10 × row + column, with an
/// image of the row in red, the column in green and the index in blue.
struct Own {
    len: u64,
    form: Values,
    spoil: fn(u64, &mut Sample) -> Result<(), Error>,
    loads: AtomicU64,
}

fn own(len: u64, channels: Option<u32>, fill: f32) -> Own {
    let form = Values { channels, fill, ..Values::default() };
    Own { len, form, spoil: |_, _| Ok(()), loads: AtomicU64::new(0) }
}

impl Dataset for Own {
    fn len(&self) -> u64 {
        self.len
    }
    fn size(&self) -> Option<[u32; 2]> {
        Some(SIZE)
    }
    fn targets(&self) -> Targets {
        Targets::Values(self.form)
    }
    fn name(&self, index: u64) -> String {
        format!("own-{index}")
    }
    fn load(&self, index: u64, sample: &mut Sample) -> Result<(), Error> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        let places = || (0..SIZE[0]).flat_map(|row| (0..SIZE[1]).map(move |column| [row, column]));
        sample.size = SIZE;
        sample.image = places().flat_map(|[row, column]| [row as u8, column as u8, index as u8]).collect();
        let values = sample.target.values_mut();
        values.clear();
        for channel in 0..self.form.channels.unwrap_or(1) {
            let first = 1000.0 * index as f32 + 100.0 * channel as f32;
            values.extend(places().map(|[row, column]| first + 10.0 * row as f32 + column as f32));
        }
        (self.spoil)(index, sample)
    }
}

fn loader(dataset: Arc<dyn Dataset>, workers: u64, transforms: Value, max_skipped: u64) -> Result<Loader, Invalid> {
    let transforms: Vec<Transform> = serde_json::from_value(transforms).unwrap();
    let config = LoaderConfig { batch_size: 4, workers, prefetch: 3, max_skipped, ..LoaderConfig::default() };
    let pipeline = Pipeline { transforms, ..Pipeline::plain(SIZE) };
    Loader::new(dataset, pipeline, &config, Order::Shuffled, 9, Device::Cpu)
}

/// Returns names, shape and bits of a batch's targets; NaN equals NaN.
fn plain(batch: Batch) -> (Vec<String>, Vec<i64>, Vec<u32>) {
    assert_eq!(batch.targets.kind(), Kind::Float);
    let numbers = Vec::<f32>::try_from(batch.targets.contiguous().view(-1)).unwrap();
    (batch.names, batch.targets.size(), numbers.into_iter().map(f32::to_bits).collect())
}

#[test]
fn tensors_hold_every_number_at_its_place() {
    for (channels, shape) in [(None, vec![4, 6, 8]), (Some(1), vec![4, 1, 6, 8]), (Some(3), vec![4, 3, 6, 8])] {
        let loader = loader(Arc::new(own(9, channels, f32::NAN)), 2, json!([]), 0).unwrap();
        let batches: Vec<Batch> = loader.epoch(3, 0).map(Result::unwrap).collect();
        assert_eq!((batches.len(), batches[0].targets.size()), (3, shape));
        for batch in batches {
            let targets = batch.targets.view([batch.names.len() as i64, -1, 6, 8]);
            for (at, name) in (0..).zip(&batch.names) {
                let index: f64 = name.strip_prefix("own-").unwrap().parse().unwrap();
                for [channel, row, column] in [[0, 0, 0], [0, 5, 7], [0, 2, 3], [targets.size()[1] - 1, 4, 1]] {
                    let expected = 1000.0 * index + (100 * channel + 10 * row + column) as f64;
                    assert_eq!(targets.double_value(&[at, channel, row, column]), expected, "{name}");
                    // The input shows the same place.
                    assert_eq!((batch.inputs.double_value(&[at, 0, row, column]) * 255.0).round(), row as f64);
                    assert_eq!((batch.inputs.double_value(&[at, 1, row, column]) * 255.0).round(), column as f64);
                }
            }
        }
    }
}

#[test]
fn what_is_pasted_from_another_sample_brings_its_numbers() {
    let mixing = json!([{"kind": "horizontal_flip"}, {"kind": "cut_mix", "probability": 1, "share": [0.3, 0.6]}]);
    let loader = loader(Arc::new(own(8, Some(2), f32::NAN)), 0, mixing, 0).unwrap();
    let mut others = 0;
    for (batch, epoch) in (0..4).flat_map(|epoch| loader.epoch(epoch, 0).map(move |batch| (batch, epoch))) {
        let batch = batch.unwrap();
        // Red, green and blue are row, column and index of the sample that a pixel comes from.
        let from = (&batch.inputs * 255.0).round();
        let expected = from.select(1, 0) * 10.0 + from.select(1, 1) + from.select(1, 2) * 1000.0;
        for channel in 0..2 {
            let off = (batch.targets.select(1, channel) - &expected - 100.0 * channel as f64).abs().max();
            assert!(off.double_value(&[]) < 0.01, "epoch {epoch}: {off}");
        }
        for (at, name) in (0..).zip(&batch.names) {
            let index: f64 = name.strip_prefix("own-").unwrap().parse().unwrap();
            others += from.get(at).get(2).ne(index).sum(Kind::Int64).int64_value(&[]);
        }
    }
    // 0.3 to 0.6 of 32 samples of 48 pixels.
    assert!((400..1100).contains(&others), "{others}");
}

fn every_transform() -> Value {
    json!([
        {"kind": "horizontal_flip"}, {"kind": "vertical_flip"}, {"kind": "rotate90"}, {"kind": "affine"},
        {"kind": "color_jitter"}, {"kind": "gaussian_blur"}, {"kind": "gaussian_noise"}, {"kind": "coarse_dropout"},
        {"kind": "random_resized_crop"}, {"kind": "random_crop"}, {"kind": "cut_mix"},
    ])
}

#[test]
fn an_epoch_resumes_with_the_same_batches_for_any_workers_and_from_memory() {
    for channels in [None, Some(2)] {
        let whole = || -> Arc<dyn Dataset> { Arc::new(own(30, channels, f32::NAN)) };
        let batches = |dataset, workers, epoch, skip| {
            let loader = loader(dataset, workers, every_transform(), 0).unwrap();
            loader.epoch(epoch, skip).map(|batch| plain(batch.unwrap())).collect::<Vec<_>>()
        };
        for epoch in [0, 6] {
            let expected = batches(whole(), 0, epoch, 0);
            assert_eq!(expected.len(), 8);
            for workers in [0, 1, 3] {
                for skip in [0, 1, 5, 8] {
                    assert_eq!(batches(whole(), workers, epoch, skip), expected[skip as usize..]);
                    assert_eq!(batches(in_memory(whole()).unwrap(), workers, epoch, skip), expected[skip as usize..]);
                }
            }
        }
        assert_ne!(batches(whole(), 0, 0, 0), batches(whole(), 0, 6, 0));
    }
}

#[test]
fn a_cache_in_memory_loads_each_sample_once() {
    let source = Arc::new(own(10, Some(2), 0.0));
    let cached = in_memory(Arc::clone(&source) as Arc<dyn Dataset>).unwrap();
    let loader = loader(Arc::clone(&cached), 2, json!([]), 0).unwrap();
    (0..3).for_each(|epoch| assert_eq!(loader.epoch(epoch, 0).count(), 3));
    assert_eq!(source.loads.load(Ordering::SeqCst), 10);
    let (mut expected, mut sample) = (Sample::default(), Sample::default());
    source.load(7, &mut expected).unwrap();
    cached.load(7, &mut sample).unwrap();
    assert_eq!((&sample, cached.target(7).unwrap()), (&expected, expected.target.clone()));
    // The same numbers, at 4 bytes each, are too many.
    let error = in_memory(Arc::new(own(1 << 50, Some(64), 0.0))).err().unwrap().to_string();
    let needed = (64 * 4 + 3) as f64 * 48.0 * (1u64 << 50) as f64 / 1e9;
    let said: f64 = error.split_once("needs ").unwrap().1.split_once(" GB").unwrap().0.parse().unwrap();
    assert!((needed..needed * 1.02).contains(&said), "{error}");
}

/// A fault of a data set, and its error message.
type Fault = (fn(u64, &mut Sample) -> Result<(), Error>, &'static str);

const FAULTS: [Fault; 9] = [
    (
        |_, sample| {
            sample.target.values_mut().pop();
            Ok(())
        },
        "its target has 95 numbers, expected 96: 2 channels of 6x8 pixels (height x width)",
    ),
    (
        |_, sample| {
            sample.target.values_mut()[48 + 2 * 8 + 3] = f32::NAN;
            Ok(())
        },
        "its target holds NaN at channel 1, row 2, column 3; where numbers are unknown declare NaN as the `fill` of \
         its `Values`, which is 0",
    ),
    (
        |_, sample| {
            sample.target.values_mut()[9] = f32::NEG_INFINITY;
            Ok(())
        },
        "its target holds -inf at channel 0, row 1, column 1; numbers must be finite",
    ),
    (
        |_, sample| {
            sample.target = Target::Classes(vec![0; 48]);
            Ok(())
        },
        "its target holds class ids, and the data set's `targets` declares numbers",
    ),
    (
        |_, sample| {
            sample.size = [8, 6];
            Ok(())
        },
        "it is 8x6 pixels (height x width), and the data set's `size` declares 6x8",
    ),
    (
        |_, sample| {
            sample.image.clear();
            Ok(())
        },
        "its image has 0 numbers, expected 144",
    ),
    (|index, _| Err(Error::of_sample(format!("own-{index}"), "its depths are cut off")), "its depths are cut off"),
    (|index, _| panic!("no {index}"), "panicked: no 3"),
    (
        |_, sample| {
            *sample = Sample::default();
            Ok(())
        },
        "it is 0x0 pixels",
    ),
];

/// A data set of which sample 3 has this fault.
macro_rules! spoilt {
    ($number:expr) => {
        Own {
            spoil: |index, sample| if index == 3 { FAULTS[$number].0(index, sample) } else { Ok(()) },
            ..own(8, Some(2), 0.0)
        }
    };
}

#[test]
fn an_error_names_the_sample_and_the_problem_and_may_be_passed_over() {
    let spoilt = || -> [Own; 9] {
        [spoilt!(0), spoilt!(1), spoilt!(2), spoilt!(3), spoilt!(4), spoilt!(5), spoilt!(6), spoilt!(7), spoilt!(8)]
    };
    for (number, dataset) in spoilt().into_iter().enumerate() {
        let says = FAULTS[number].1;
        let loader = loader(Arc::new(dataset), 2, every_transform(), 0).unwrap();
        let error = loader.epoch(0, 0).find_map(Result::err).unwrap().to_string();
        assert!(error.contains("sample 'own-3'") && error.contains(says), "{error}");
    }
    for (number, dataset) in spoilt().into_iter().enumerate() {
        let loader = loader(Arc::new(dataset), 2, json!([]), 1).unwrap();
        let names: Vec<String> = loader.epoch(0, 0).flat_map(|batch| batch.unwrap().names).collect();
        assert_eq!(names.len(), 7);
        let skipped = loader.skipped().all();
        assert_eq!((skipped.len(), skipped[0].name.as_str()), (1, "own-3"));
        assert!(skipped[0].reason.contains(FAULTS[number].1), "{}", skipped[0].reason);
    }
    // Before training, `verify` finds what concerns the target.
    for (number, dataset) in spoilt().into_iter().enumerate().filter(|(number, _)| ![4, 5, 8].contains(number)) {
        let error = verify(&dataset, 0, 2).unwrap_err().to_string();
        assert!(error.contains(FAULTS[number].1), "{error}");
        let verified = verify_all_but(1, &dataset, 0, 2).unwrap();
        assert_eq!((verified.passed.len(), verified.passed[0].0), (1, 3));
    }
    verify(&own(8, Some(2), 0.0), 0, 2).unwrap();
}

#[test]
fn unknown_numbers_are_allowed_where_they_are_declared() {
    let spoil: fn(u64, &mut Sample) -> Result<(), Error> = |index, sample| {
        sample.target.values_mut()[index as usize] = f32::NAN;
        Ok(())
    };
    let dataset = Own { spoil, ..own(8, None, f32::NAN) };
    verify(&dataset, 0, 2).unwrap();
    let loader = loader(Arc::new(dataset), 0, json!([{"kind": "horizontal_flip", "probability": 1}]), 0).unwrap();
    for batch in loader.epoch(0, 0) {
        let batch = batch.unwrap();
        for (at, name) in (0..).zip(&batch.names) {
            let index: i64 = name.strip_prefix("own-").unwrap().parse().unwrap();
            let unknown = batch.targets.get(at).isnan();
            assert_eq!(unknown.sum(Kind::Int64).int64_value(&[]), 1);
            assert_eq!(unknown.int64_value(&[0, 7 - index]), 1, "{name}");
        }
    }
}

#[test]
fn a_batch_of_which_nothing_is_left_is_black_and_unknown() {
    for (fill, expected) in [(f32::NAN, None), (-1.5, Some(-1.5))] {
        let spoil: fn(u64, &mut Sample) -> Result<(), Error> =
            |index, _| Err(Error::of_sample(index.to_string(), "gone"));
        let loader = loader(Arc::new(Own { spoil, ..own(4, Some(2), fill) }), 1, json!([]), 4).unwrap();
        let batch = loader.epoch(0, 0).next().unwrap().unwrap();
        assert_eq!((batch.names, batch.targets.size()), (vec!["(all skipped)".to_string()], vec![1, 2, 6, 8]));
        let numbers = Vec::<f32>::try_from(batch.targets.view(-1)).unwrap();
        assert!(numbers.iter().all(|number| if number.is_nan() {
            expected.is_none()
        } else {
            Some(*number) == expected
        }));
        assert_eq!(batch.inputs.abs().max().double_value(&[]), 0.0);
    }
}

#[test]
fn what_cannot_work_is_refused_before_the_first_batch() {
    let refused = |dataset: Own, transforms| loader(Arc::new(dataset), 0, transforms, 0).err().unwrap().to_string();
    let by_class = json!([{"kind": "rotate90"}, {"kind": "random_crop", "class": 1, "at_least": 0.1}]);
    let says = "transforms[1].class: must be left out: the targets are numbers and have no classes";
    assert_eq!(refused(own(1, None, 0.0), by_class), says);
    assert_eq!(refused(own(1, Some(0), 0.0), json!([])), "targets: must have at least 1 channel, has 0");
    let says = "targets: must have a finite fill or NaN, has inf";
    assert_eq!(refused(own(1, None, f32::INFINITY), json!([])), says);
}

#[test]
fn samples_of_other_sizes_are_brought_to_the_networks() {
    let targets = Targets::Values(Values { channels: Some(3), fill: 0.0, ..Values::default() });
    let image: Vec<u8> = (0..20 * 30 * 3).map(|place| (place * 7919 % 251) as u8).collect();
    for (resize, size) in [
        (Resize::Stretch { to: None }, [16, 10]),
        (Resize::Fit { to: None }, [16, 10]),
        (Resize::Fit { to: Some([64, 64]) }, [64, 64]),
        (Resize::ShorterSide { to: Some(10) }, [10, 15]),
        (Resize::Stretch { to: Some([20, 30]) }, [20, 30]),
    ] {
        let mut sample = Sample { size: [20, 30], image: image.clone().into(), target: Target::default() };
        let image = sample.image.clone();
        sample.target.set_image(&image, &3.into());
        resize.apply(&mut sample, [16, 10], targets).unwrap();
        let mut expected = Target::default();
        expected.set_image(&sample.image, &3.into());
        assert_eq!((sample.size, sample.target.values().len()), (size, expected.values().len()), "{resize:?}");
        let off = expected.values().iter().zip(sample.target.values()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < 1.1 / 255.0, "{resize:?}: {off}");
    }
    let mut wrong = Sample { size: [20, 30], image: image.into(), target: Target::Values(vec![0.0; 600]) };
    let error = Resize::default().apply(&mut wrong, [16, 10], targets).unwrap_err().to_string();
    assert!(error.contains("the image has 1800 numbers, and the target 600 numbers"), "{error}");
}

/// Runs the example, which `cargo test` builds next to the tests.
#[test]
fn the_example_resumes_and_names_a_broken_file() {
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().unwrap().parent().unwrap().join("examples/own_values");
    assert!(program.exists(), "{} is missing: run cargo test -p data", program.display());
    let folder = tempfile::tempdir().unwrap();
    let run = || {
        let output = Command::new(&program).arg(folder.path().join("floors")).output().unwrap();
        (output.status.success(), [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()))
    };
    let (good, [said, _]) = run();
    assert!(good && said.contains("targets [8, 48, 64]") && said.ends_with("the same\n"), "{said}");
    assert_eq!(run(), (true, [said, String::new()]));
    std::fs::write(folder.path().join("floors/floor-07.f32"), [0; 40]).unwrap();
    let (good, [_, error]) = run();
    assert!(!good && error.contains("sample 'floor-07': its .f32 file has 40 bytes"), "{error}");
}
