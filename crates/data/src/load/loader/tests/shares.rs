//! Several ranks load what one process does: each sample once, with the same bits, one rank's after the other's.

use super::*;
use crate::load::{Targets, Values};
use crate::transform::Transform;
use serde_json::json;

/// Samples whose targets are their own images, as maps of numbers.
struct Maps(Arc<dyn Dataset>);

impl Dataset for Maps {
    fn len(&self) -> u64 {
        self.0.len()
    }
    fn size(&self) -> Option<[u32; 2]> {
        self.0.size()
    }
    fn targets(&self) -> Targets {
        Targets::Values(Values { channels: Some(3), ..Values::default() })
    }
    fn name(&self, index: u64) -> String {
        self.0.name(index)
    }
    fn load(&self, index: u64, sample: &mut Sample) -> Result<(), Error> {
        self.0.load(index, sample)?;
        let image = std::mem::take(&mut sample.image);
        sample.target.set_image(&image, &3.into());
        sample.image = image;
        Ok(())
    }
}

fn every_transform() -> Vec<Transform> {
    let kinds = [
        "horizontal_flip",
        "rotate90",
        "random_resized_crop",
        "affine",
        "color_jitter",
        "gaussian_blur",
        "gaussian_noise",
        "coarse_dropout",
        "cut_mix",
    ];
    kinds.map(|kind| serde_json::from_value(json!({"kind": kind})).unwrap()).into()
}

/// A loader of the whole batches of drawn shapes, with every transform.
fn shapes(len: u64, batch_size: u64, workers: u64, order: Order, maps: bool) -> Loader {
    let shapes = Config::Shapes(Shapes { train_samples: len, size: [16, 20], ..Shapes::default() });
    let dataset: Arc<dyn Dataset> = shapes.open(Split::Train).unwrap().into();
    let dataset = if maps { Arc::new(Maps(dataset)) } else { dataset };
    let normalize = Some(crate::Normalize { mean: vec![0.4, 0.5, 0.6], std: vec![0.2, 0.3, 0.25] });
    let pipeline = Pipeline { transforms: every_transform(), normalize, ..Pipeline::plain([16, 20]) };
    let config = LoaderConfig { batch_size, workers, prefetch: 2, ..LoaderConfig::default() };
    Loader::new(dataset, pipeline, &config, order, 5, Device::Cpu).unwrap()
}

fn batches(loader: &Loader, epoch: u64, skip: u64) -> Vec<Batch> {
    loader.epoch(epoch, skip).map(Result::unwrap).collect()
}

/// Returns the bits of numbers: NaN equals NaN.
fn bits(tensor: &Tensor) -> Tensor {
    let contiguous = tensor.contiguous();
    if tensor.kind() == Kind::Float { contiguous.view_dtype(Kind::Int) } else { contiguous }
}

/// Compares the shares of all ranks with the batches of one process.
fn compare(whole: &[Batch], shares: &[Vec<Batch>]) {
    assert!(shares.iter().all(|share| share.len() == whole.len()));
    for (number, whole) in whole.iter().enumerate() {
        let shares: Vec<&Batch> = shares.iter().map(|share| &share[number]).collect();
        let cat = |of: fn(&Batch) -> &Tensor| Tensor::cat(&shares.iter().map(|share| of(share)).collect::<Vec<_>>(), 0);
        assert_eq!(shares.iter().flat_map(|share| share.names.clone()).collect::<Vec<_>>(), whole.names);
        for (parts, whole) in
            [(cat(|batch| &batch.inputs), &whole.inputs), (cat(|batch| &batch.targets), &whole.targets)]
        {
            assert!(parts.kind() == whole.kind() && bits(&parts).equal(&bits(whole)), "batch {number}");
        }
        let mut first = 0;
        for share in &shares {
            assert_eq!(share.inputs.size()[1..], whole.inputs.size()[1..]);
            assert_eq!(share.targets.size()[1..], whole.targets.size()[1..]);
            assert_eq!(share.inputs.size()[0] as usize, share.names.len());
            assert_eq!(share.targets.size()[0] as usize, share.names.len());
            let of = whole.names.len();
            assert_eq!(share.share, (shares.len() > 1).then_some(Share { first, of }));
            assert_eq!((share.samples(), whole.samples()), (of, of));
            first += share.names.len();
        }
    }
}

#[test]
fn shares_together_are_the_batches_of_one_process_to_the_bit() {
    for (len, batch_size, maps) in [(23, 7, false), (23, 7, true), (10, 5, false), (9, 2, true), (4, 16, false)] {
        for order in [Order::Shuffled, Order::Sequential] {
            let one = shapes(len, batch_size, 0, order, maps);
            for (epoch, skip) in [(0, 0), (3, 1), (3, 2)] {
                let whole = batches(&one, epoch, skip);
                for (count, workers, sends) in [(1, 0, false), (2, 0, true), (3, 3, false), (3, 2, true)] {
                    let of_rank = |rank| {
                        let loader = shapes(len, batch_size, workers, order, maps).of_rank(rank, count);
                        assert_eq!((loader.len(), loader.samples()), (one.len(), len));
                        let loader = if sends { sending(loader) } else { loader };
                        batches(&loader, epoch, skip)
                    };
                    compare(&whole, &(0..count).map(of_rank).collect::<Vec<_>>());
                }
            }
        }
    }
}

#[test]
fn a_rank_without_samples_has_tensors_of_none() {
    for sends in [false, true] {
        for (maps, target, kind) in [(false, vec![0, 16, 20], Kind::Int64), (true, vec![0, 3, 16, 20], Kind::Float)] {
            let loader = shapes(9, 4, 1, Order::Shuffled, maps).of_rank(2, 3);
            assert_eq!(loader.idle_ranks(), 0);
            let all = batches(&if sends { sending(loader) } else { loader }, 0, 0);
            let Batch { inputs, targets, names, share, .. } = &all[2];
            assert_eq!((inputs.size(), targets.size(), targets.kind()), (vec![0, 3, 16, 20], target, kind));
            assert_eq!((inputs.kind(), names.len(), *share), (Kind::Float, 0, Some(Share { first: 1, of: 1 })));
            assert_eq!(all[0].names.len(), 1);
        }
    }
    // A rank that never has a sample still takes part in every step.
    let idle = shapes(5, 2, 2, Order::Shuffled, false).of_rank(3, 4);
    assert_eq!((idle.idle_ranks(), batches(&idle, 1, 0).len()), (2, 3));
    assert!(batches(&idle, 0, 0).iter().all(|batch| batch.names.is_empty()));
    assert_eq!(shapes(5, 8, 0, Order::Shuffled, false).of_rank(0, 8).idle_ranks(), 3);
    assert_eq!(shapes(5, 8, 0, Order::Shuffled, false).idle_ranks(), 0);
}

#[test]
fn a_rank_has_memory_for_its_share_only() {
    for (rank, samples) in [(0, 3), (2, 2), (9, 1)] {
        let loader = shapes(40, 8, 0, Order::Shuffled, false).of_rank(rank, if rank == 9 { 10 } else { 3 });
        let room = loader.source.rooms.room().unwrap();
        assert_eq!(room.map(|room| room.tensor().size()[0]), [samples; 2]);
    }
}

/// Rows of which those whose number `broken` names cannot be loaded.
fn rows(spoil: fn(u64, Sample) -> Sample, batch_size: u64, order: Order, max_skipped: u64) -> Loader {
    let config = LoaderConfig { batch_size, workers: 2, prefetch: 3, max_skipped, ..LoaderConfig::default() };
    let pipeline = Pipeline { transforms: usual(), ..Pipeline::plain(SIZE) };
    Loader::new(Arc::new(Rows { len: 12, spoil }), pipeline, &config, order, 9, Device::Cpu).unwrap()
}

#[test]
fn a_sample_that_cannot_be_loaded_is_missing_on_its_own_rank_alone() {
    let spoil = |index, sample| if [1, 6, 8].contains(&index) { panic!("broken") } else { sample };
    for (order, count) in [(Order::Sequential, 2), (Order::Shuffled, 2), (Order::Shuffled, 3)] {
        let one = plain(&rows(spoil, 6, order, 3), 2, 0);
        let loaders: Vec<Loader> = (0..count).map(|rank| rows(spoil, 6, order, 3).of_rank(rank, count)).collect();
        let shares: Vec<Vec<Batch>> = loaders.iter().map(|loader| batches(loader, 2, 0)).collect();
        for (number, (names, inputs, _)) in one.iter().enumerate() {
            let parts = || shares.iter().map(|share| &share[number]);
            assert_eq!(&parts().flat_map(|part| part.names.clone()).collect::<Vec<_>>(), names);
            let parts_of = parts().map(|part| part.inputs.shallow_clone()).collect::<Vec<_>>();
            assert_eq!(&Vec::<f32>::try_from(Tensor::cat(&parts_of, 0).contiguous().view(-1)).unwrap(), inputs);
            for (rank, part) in parts().enumerate() {
                // It keeps its place, and the ranks after it are where they were.
                assert_eq!(part.share, Some(Share { first: rank * 6 / count, of: 6 }));
            }
        }
        let mut skipped: Vec<String> =
            loaders.iter().flat_map(|loader| loader.skipped().all()).map(|passed| passed.name).collect();
        skipped.sort();
        assert_eq!(skipped, ["1", "6", "8"], "each is one rank's");
    }
}

#[test]
fn of_what_all_ranks_skipped_rank_0_keeps_a_placeholder() {
    let spoil = |index, sample| if index < 4 { panic!("broken") } else { sample };
    let first = |rank| batches(&rows(spoil, 4, Order::Sequential, 4).of_rank(rank, 3), 0, 0).remove(0);
    let names = [0, 1, 2].map(|rank| (first(rank).names, first(rank).inputs.size()[0]));
    assert_eq!(names, [(vec![BLANK.to_string()], 1), (vec![], 0), (vec![], 0)]);
    assert_eq!(first(0).targets.min().int64_value(&[]), i64::from(IGNORE));
}

#[test]
fn the_limit_of_a_rank_is_that_of_the_samples_it_met() {
    let spoil = |index, sample| if index < 4 { panic!("broken") } else { sample };
    let run = |rank| {
        let loader = rows(spoil, 6, Order::Sequential, 2).of_rank(rank, 2);
        loader.epoch(0, 0).map(|batch| batch.map(drop).map_err(|error| error.to_string())).collect::<Vec<_>>()
    };
    // 0 to 2 are rank 0's, 3 is rank 1's.
    assert!(run(0)[0].as_ref().unwrap_err().starts_with("sample '2'"), "{:?}", run(0));
    assert_eq!(run(1), [Ok(()), Ok(())]);
}

#[test]
fn a_sample_alone_is_the_one_at_its_place_among_those_of_all_ranks() {
    let some: fn(u64, Sample) -> Sample = |index, sample| if index == 4 { panic!("broken") } else { sample };
    // A placeholder stands for the whole share of rank 0.
    let first: fn(u64, Sample) -> Sample = |index, sample| if index < 2 { panic!("broken") } else { sample };
    for (spoil, max_skipped) in [(some, 1), (first, 2), ((|_, sample| sample) as _, 0)] {
        let of_rank = |rank| {
            let config = LoaderConfig { batch_size: 5, max_skipped, ..LoaderConfig::default() };
            let data = Arc::new(Rows { len: 12, spoil });
            let loader = Loader::new(data, Pipeline::plain(SIZE), &config, Order::Sequential, 9, Device::Cpu);
            loader.unwrap().of_rank(rank, 3)
        };
        let (loader, shares) = (of_rank(0), [0, 1, 2].map(|rank| batches(&of_rank(rank), 0, 0)));
        for number in 0..loader.len() {
            let all = shares.iter().map(|shares| &shares[number as usize]);
            let samples = all.flat_map(|share| share.names.iter().zip(share.inputs.split(1, 0)));
            let mut at = 0;
            for (name, inputs) in samples {
                let alone = loader.sample(number, at).unwrap().unwrap();
                assert_eq!((&alone.names[0], alone.share), (name, None));
                assert!(alone.inputs.equal(&inputs));
                at += 1;
            }
            assert!(at > 0 && loader.sample(number, at).unwrap().is_none());
        }
    }
}
