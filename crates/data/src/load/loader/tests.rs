//! Guarantees that training relies on: the same batches for any workers, interruptions and timing.

mod shares;

use super::*;
use crate::load::{IGNORE, Sample, Target};
use crate::transform::usual;
use crate::{Config, Shapes, Split};
use proptest::prelude::*;
use std::thread;
use std::time::{Duration, Instant};
use tch::Kind;

/// `len` samples of one row: pixel x of sample i is (i, i, x), of class x; loading times vary.
struct Rows {
    len: u64,
    spoil: fn(u64, Sample) -> Sample,
}

const WIDTH: u8 = 4;
const SIZE: [u32; 2] = [1, 4];

impl Dataset for Rows {
    fn len(&self) -> u64 {
        self.len
    }
    fn size(&self) -> Option<[u32; 2]> {
        Some([1, u32::from(WIDTH)])
    }
    fn name(&self, index: u64) -> String {
        index.to_string()
    }
    fn load(&self, index: u64, sample: &mut Sample) -> Result<(), Error> {
        thread::sleep(Duration::from_micros(index * 7919 % 50));
        let image = (0..WIDTH).flat_map(|x| [(index / 256) as u8, index as u8, x]).collect();
        let whole = Sample { size: [1, u32::from(WIDTH)], image, target: Target::Classes((0..WIDTH).collect()) };
        *sample = (self.spoil)(index, whole);
        Ok(())
    }
}

fn loader(len: u64, batch_size: u64, workers: u64, order: Order) -> Loader {
    let config = LoaderConfig { batch_size, workers, prefetch: 3, ..LoaderConfig::default() };
    let pipeline = Pipeline { transforms: usual(), ..Pipeline::plain(SIZE) };
    let rows = Arc::new(Rows { len, spoil: |_, sample| sample });
    Loader::new(rows, pipeline, &config, order, 9, Device::Cpu).unwrap()
}

/// Batches as plain values: names, inputs, targets.
type Plain = Vec<(Vec<String>, Vec<f32>, Vec<i64>)>;

fn plain(loader: &Loader, epoch: u64, skip: u64) -> Plain {
    let values = |batch: Result<Batch, BoxError>| {
        let Batch { inputs, targets, names, .. } = batch.unwrap();
        let inputs = Vec::<f32>::try_from(inputs.contiguous().view(-1)).unwrap();
        (names, inputs, Vec::<i64>::try_from(targets.view(-1)).unwrap())
    };
    loader.epoch(epoch, skip).map(values).collect()
}

fn names(loader: &Loader, epoch: u64) -> Vec<String> {
    plain(loader, epoch, 0).into_iter().flat_map(|batch| batch.0).collect()
}

#[test]
fn any_number_of_workers_and_any_skip_give_the_same_batches() {
    let alone = loader(53, 8, 0, Order::Shuffled);
    for epoch in [0, 1, u64::MAX] {
        let expected = plain(&alone, epoch, 0);
        assert_eq!(expected.len(), 7);
        for workers in [0, 1, 4] {
            let loader = loader(53, 8, workers, Order::Shuffled);
            for skip in 0..=8 {
                assert_eq!(plain(&loader, epoch, skip), expected[expected.len().min(skip as usize)..]);
            }
        }
    }
}

#[test]
fn the_fingerprint_is_that_of_the_data_in_its_own_order() {
    let expected = fingerprint(&Rows { len: 53, spoil: |_, sample| sample }).unwrap();
    for (batch_size, order) in [(8, Order::Shuffled), (5, Order::Sequential)] {
        assert_eq!(loader(53, batch_size, 2, order).fingerprint().unwrap(), expected);
    }
    assert_ne!(loader(52, 8, 2, Order::Shuffled).fingerprint().unwrap(), expected);
}

#[test]
fn generated_data_comes_the_same_for_any_number_of_workers() {
    let shapes = Shapes { train_samples: 20, size: [24, 16], ..Shapes::default() };
    let batches = |workers| {
        let config = LoaderConfig { batch_size: 6, workers, prefetch: 2, ..LoaderConfig::default() };
        let dataset: Arc<dyn Dataset> = Config::Shapes(shapes.clone()).open(Split::Train).unwrap().into();
        let pipeline = Config::Shapes(shapes.clone()).pipeline(Split::Train);
        plain(&Loader::new(dataset, pipeline, &config, Order::Shuffled, 3, Device::Cpu).unwrap(), 2, 1)
    };
    assert_eq!(batches(0), batches(1));
    assert_eq!(batches(0), batches(4));
}

#[test]
fn batches_have_the_shapes_kinds_and_values_of_the_contract() {
    let loader = loader(5, 2, 1, Order::Sequential);
    assert_eq!((loader.len(), loader.samples(), loader.is_empty()), (3, 5, false));
    let batches: Vec<Batch> = loader.epoch(0, 0).map(Result::unwrap).collect();
    assert_eq!(batches[0].inputs.size(), [2, 3, 1, 4]);
    assert_eq!((batches[0].inputs.kind(), batches[0].targets.kind()), (Kind::Float, Kind::Int64));
    assert_eq!(batches[0].targets.size(), [2, 1, 4]);
    assert_eq!(batches[2].inputs.size(), [1, 3, 1, 4], "the last partial batch is kept");
    assert_eq!(batches[0].inputs.stride(), [12, 1, 12, 3], "channels-last");
    assert_eq!(batches[1].inputs.double_value(&[1, 1, 0, 0]) as f32, 3.0 / 255.0);
    assert!(plain(&self::loader(0, 2, 4, Order::Shuffled), 0, 0).is_empty());
}

#[test]
fn sequential_is_sequential_and_epochs_are_shuffled_differently() {
    let sorted: Vec<String> = (0..40).map(|index: u64| index.to_string()).collect();
    let sequential = loader(40, 7, 2, Order::Sequential);
    assert_eq!((names(&sequential, 0), names(&sequential, 1)), (sorted.clone(), sorted.clone()));
    let shuffled = loader(40, 7, 2, Order::Shuffled);
    let (first, second) = (names(&shuffled, 0), names(&shuffled, 1));
    assert!(first != second && first != sorted && second != sorted);
}

#[test]
fn image_and_mask_are_flipped_together_and_differently_each_epoch() {
    let loader = loader(64, 64, 2, Order::Sequential);
    let targets = |epoch| {
        let (_, inputs, targets) = plain(&loader, epoch, 0).remove(0);
        // The third channel of a pixel that came from x, wherever it is now, is the class of that pixel.
        let samples = inputs.chunks(3 * WIDTH as usize).zip(targets.chunks(WIDTH as usize));
        for (image, mask) in samples {
            let column: Vec<i64> = image[8..].iter().map(|value| (value * 255.0).round() as i64).collect();
            assert_eq!(column, mask);
        }
        targets
    };
    let first = targets(0);
    let flipped = first.chunks(WIDTH as usize).filter(|mask| mask[0] == 3).count();
    assert!((15..50).contains(&flipped), "{flipped} of 64");
    assert_ne!(first, targets(1));
}

/// Samples that count their loads.
struct Counted(AtomicU64);

impl Dataset for Counted {
    fn len(&self) -> u64 {
        1_000_000
    }
    fn size(&self) -> Option<[u32; 2]> {
        Some(SIZE)
    }
    fn name(&self, index: u64) -> String {
        index.to_string()
    }
    fn load(&self, _: u64, sample: &mut Sample) -> Result<(), Error> {
        self.0.fetch_add(1, Ordering::SeqCst);
        *sample = Sample { size: SIZE, image: vec![0u8; 12].into(), target: Target::Classes(vec![0; 4]) };
        Ok(())
    }
}

#[test]
fn who_takes_batches_slowly_stops_those_who_make_them() {
    for (workers, prefetch, ranks) in [(1, 1, 1), (4, 2, 1), (2, 7, 1), (2, 3, 5)] {
        let config = LoaderConfig { batch_size: 10, workers, prefetch, ..LoaderConfig::default() };
        let dataset = Arc::new(Counted(0.into()));
        let (source, pipeline) = (Arc::clone(&dataset) as Arc<dyn Dataset>, Pipeline::plain(SIZE));
        let loader = Loader::new(source, pipeline, &config, Order::Shuffled, 0, Device::Cpu).unwrap();
        let loader = loader.of_rank(0, ranks as usize);
        let mut epoch = loader.epoch(0, 0);
        for taken in 1..=3 {
            epoch.next().unwrap().unwrap();
            let loads = || dataset.0.load(Ordering::SeqCst);
            // Waits until nothing more is loaded, and a good while longer.
            let bound = (taken + prefetch) * 10 / ranks;
            let start = Instant::now();
            while loads() < bound && start.elapsed() < Duration::from_secs(20) {
                thread::yield_now();
            }
            thread::sleep(Duration::from_millis(30));
            assert_eq!(loads(), bound, "{workers} workers, {prefetch} ahead, {taken} taken");
        }
    }
}

/// Output of `reference/normalize.py`: constants, and torchvision's result for each byte in each channel.
#[derive(serde::Deserialize)]
struct Normalized {
    mean: Vec<f64>,
    std: Vec<f64>,
    scaled: Vec<f32>,
    normalized: Vec<f32>,
}

/// One image in which each byte occurs in each channel.
struct Ramp;

impl Dataset for Ramp {
    fn len(&self) -> u64 {
        1
    }
    fn size(&self) -> Option<[u32; 2]> {
        Some([16, 16])
    }
    fn name(&self, _: u64) -> String {
        "ramp".into()
    }
    fn load(&self, _: u64, sample: &mut Sample) -> Result<(), Error> {
        let image = (0..=255u8).flat_map(|value| [value, 255 - value, value.wrapping_mul(7)]).collect();
        *sample = Sample { size: [16, 16], image, target: Target::Classes((0..=255).collect()) };
        Ok(())
    }
}

#[test]
fn every_byte_becomes_the_number_that_torchvision_makes_of_it_to_the_last_bit() {
    let expected: Normalized = serde_json::from_str(include_str!("../../../reference/normalize.json")).unwrap();
    let normalize = crate::Normalize { mean: expected.mean, std: expected.std };
    for (normalize, expected) in [(None, expected.scaled), (Some(normalize), expected.normalized)] {
        let pipeline = Pipeline { normalize, ..Pipeline::plain([16, 16]) };
        let config = LoaderConfig { batch_size: 1, ..LoaderConfig::default() };
        let loader = Loader::new(Arc::new(Ramp), pipeline, &config, Order::Sequential, 0, Device::Cpu).unwrap();
        let (_, inputs, targets) = plain(&loader, 0, 0).remove(0);
        let differ = inputs.iter().zip(&expected).filter(|(found, expected)| found.to_bits() != expected.to_bits());
        assert_eq!((inputs.len(), expected.len(), differ.count()), (768, 768, 0));
        assert_eq!(targets, (0..256).collect::<Vec<i64>>());
    }
}

#[test]
fn a_batch_of_which_nothing_is_left_is_black_and_of_no_class() {
    let config = LoaderConfig { batch_size: 2, max_skipped: 2, ..LoaderConfig::default() };
    let spoil = |index, sample| if index < 2 { panic!("broken") } else { sample };
    let rows = Arc::new(Rows { len: 4, spoil });
    let loader = Loader::new(rows, Pipeline::plain(SIZE), &config, Order::Sequential, 0, Device::Cpu).unwrap();
    let batches = plain(&loader, 0, 0);
    assert_eq!(batches[0], (vec![BLANK.to_string()], vec![0.0; 12], vec![i64::from(IGNORE); 4]));
    assert_eq!((batches.len(), &batches[1].0), (2, &vec!["2".to_string(), "3".into()]));
}

#[test]
fn an_epoch_that_is_left_early_leaves_nothing_behind() {
    for taken in [0, 1, 3] {
        let loader = loader(1000, 4, 4, Order::Shuffled);
        let start = Instant::now();
        let mut epoch = loader.epoch(0, 0);
        assert_eq!(epoch.by_ref().take(taken).count(), taken);
        drop(epoch);
        assert_eq!(Arc::strong_count(&loader.source), 1, "a worker still holds the data set");
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn a_bad_sample_is_an_error_that_names_it_and_ends_the_epoch() {
    type Spoil = fn(u64, Sample) -> Sample;
    let cases: [(Spoil, &str); 3] = [
        (
            |index, sample| if index == 13 { panic!("cannot load {index}") } else { sample },
            "loading sample '13' panicked: cannot load 13",
        ),
        (
            |index, sample| if index == 13 { Sample { image: vec![0u8; 3].into(), ..sample } } else { sample },
            "sample '13': its image has 3 numbers, expected 12",
        ),
        (
            |index, sample| if index == 13 { Sample { target: Target::Classes(vec![0]), ..sample } } else { sample },
            "sample '13': its mask has 1 numbers, expected 4",
        ),
    ];
    for (spoil, says) in cases {
        for workers in [0, 1, 4] {
            let config = LoaderConfig { batch_size: 4, workers, prefetch: 3, ..LoaderConfig::default() };
            let rows = Arc::new(Rows { len: 40, spoil });
            let loader = Loader::new(rows, Pipeline::plain(SIZE), &config, Order::Sequential, 0, Device::Cpu).unwrap();
            let batches: Vec<_> = loader.epoch(0, 0).collect();
            assert_eq!(batches.len(), 4);
            assert_eq!(batches[3].as_ref().unwrap_err().to_string(), says);
        }
    }
}

#[test]
fn impossible_settings_are_refused() {
    let config = LoaderConfig { batch_size: 0, ..LoaderConfig::default() };
    let rows = Arc::new(Rows { len: 1, spoil: |_, sample| sample });
    let invalid = Loader::new(rows, Pipeline::plain(SIZE), &config, Order::Sequential, 0, Device::Cpu).err().unwrap();
    assert_eq!(invalid.key, "batch_size");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn every_sample_comes_once_an_epoch(len in 0u64..300, batch_size in 1u64..40, workers in 0u64..4, epoch: u64) {
        let loader = loader(len, batch_size, workers, Order::Shuffled);
        let batches = plain(&loader, epoch, 0);
        prop_assert_eq!(batches.len() as u64, loader.len());
        let mut seen: Vec<u64> = batches.iter().flat_map(|batch| &batch.0).map(|name| name.parse().unwrap()).collect();
        seen.sort_unstable();
        prop_assert_eq!(seen, (0..len).collect::<Vec<_>>());
    }
}

#[test]
fn a_sample_alone_is_the_one_at_its_place_also_where_others_are_missing() {
    for max_skipped in [0, 3] {
        let spoil: fn(u64, Sample) -> Sample = |index, whole| if index == 4 { Sample::default() } else { whole };
        let spoil = if max_skipped == 0 { |_, whole| whole } else { spoil };
        let config = LoaderConfig { batch_size: 5, max_skipped, ..LoaderConfig::default() };
        let (rows, pipeline) = (Arc::new(Rows { len: 12, spoil }), Pipeline::plain(SIZE));
        let loader = Loader::new(rows, pipeline, &config, Order::Sequential, 9, Device::Cpu).unwrap();
        for (number, batch) in (0..).zip(loader.epoch(0, 0)) {
            let batch = batch.unwrap();
            for (at, name) in (0..).zip(&batch.names) {
                let alone = loader.sample(number, at as u64).unwrap().unwrap();
                assert_eq!(alone.names, std::slice::from_ref(name));
                assert!(alone.inputs.equal(&batch.inputs.narrow(0, at, 1)), "{number}, {at}");
                assert!(alone.targets.equal(&batch.targets.narrow(0, at, 1)), "{number}, {at}");
            }
            assert!(loader.sample(number, batch.names.len() as u64).unwrap().is_none(), "{number}");
        }
        assert!(loader.sample(9, 0).unwrap().is_none());
    }
}

/// Sends a loader's batches as bytes, as to a GPU.
fn sending(mut loader: Loader) -> Loader {
    let part = loader.part.of(&places(0, loader.config.batch_size, loader.samples()));
    let batch_size = (part.end - part.start).max(1) as i64;
    let source = Arc::get_mut(&mut loader.source).unwrap();
    let ([height, width], dataset) = (source.pipeline.size.map(i64::from), &source.dataset);
    let shape = [batch_size, height, width, dataset.channels().into()];
    source.rooms = Rooms::sending(true, Device::Cpu, shape, &dataset.layout(), dataset.targets());
    loader
}

#[test]
fn batches_that_are_sent_as_bytes_have_the_same_bits() {
    for (workers, normalize) in [(0, None), (4, Some(([0.4, 0.5, 0.6], [0.2, 0.3, 0.25])))] {
        let config = LoaderConfig { batch_size: 7, workers, prefetch: 3, ..LoaderConfig::default() };
        let normalize = normalize.map(|(mean, std)| crate::Normalize { mean: mean.into(), std: std.into() });
        let make = || {
            let shapes = Config::Shapes(Shapes { train_samples: 40, size: [24, 16], ..Shapes::default() });
            let pipeline = Pipeline { normalize: normalize.clone(), ..shapes.pipeline(Split::Train) };
            let dataset: Arc<dyn Dataset> = shapes.open(Split::Train).unwrap().into();
            Loader::new(dataset, pipeline, &config, Order::Shuffled, 3, Device::Cpu).unwrap()
        };
        let (kept, sent) = (make(), sending(make()));
        for epoch in 0..3 {
            assert_eq!(plain(&sent, epoch, 2), plain(&kept, epoch, 2));
        }
        let strides = [&kept, &sent].map(|loader| loader.epoch(0, 0).next().unwrap().unwrap().inputs.stride());
        assert_eq!(strides[0], strides[1], "channels-last");
        assert!(sent.sample(1, 3).unwrap().unwrap().inputs.equal(&kept.sample(1, 3).unwrap().unwrap().inputs));
    }
}
