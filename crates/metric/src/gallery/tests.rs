use super::*;
use crate::Segmentation;
use contract::IGNORE_INDEX;
use proptest::prelude::*;

/// Returns samples of four pixels of two classes, each with the given number of correct pixels, or without valid ones.
fn batch(samples: &[Option<u8>]) -> Counted {
    let count = samples.len() as i64;
    let (outputs, targets) = (
        Tensor::zeros([count, 2, 2, 2], (Kind::Float, Device::Cpu)),
        Tensor::zeros([count, 2, 2], (Kind::Int64, Device::Cpu)),
    );
    for (right, at) in samples.iter().zip(0..) {
        match right {
            None => drop(targets.get(at).fill_(IGNORE_INDEX)),
            Some(right) => drop(outputs.get(at).get(1).view(4).narrow(0, 0, 4 - i64::from(*right)).fill_(1)),
        }
    }
    let mut metric = Segmentation::new(vec!["a".into(), "b".into()], Device::Cpu).unwrap();
    metric.count(&Tensor::from(0f32), &outputs, &targets).unwrap()
}

/// Returns the class map of a sample of [`batch`].
fn map(right: Option<u8>) -> Vec<u8> {
    let wrong = right.map_or(0, |right| 4 - usize::from(right));
    (0..4).map(|pixel| u8::from(pixel < wrong)).collect()
}

type Sample = (u64, u64, Option<u8>);

fn found(predicted: Vec<Predicted>, batches: &[Vec<Option<u8>>]) -> Vec<Sample> {
    let sample = |Predicted { batch, at, score, classes }: Predicted| {
        let right = batches[batch as usize][at as usize];
        assert_eq!(Vec::<u8>::try_from(classes.flatten(0, -1)).unwrap(), map(right));
        // The IoU of class a is right / 4; that of b, which is in predictions only, is 0 and counts unless all are
        // right.
        let expected = right.map_or(f64::NAN, |right| if right == 4 { 1.0 } else { f64::from(right) / 8.0 });
        assert!(score == expected || score.is_nan() && expected.is_nan(), "{score}, {expected}");
        (batch, at, right)
    };
    predicted.into_iter().map(sample).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_is_kept_is_what_a_sort_of_all_would_give(
        batches in prop::collection::vec(prop::collection::vec(prop::option::weighted(0.8, 0u8..=4), 1..5), 0..6),
        first in 0usize..5,
        extremes in 0usize..5,
        ranks in 1usize..5,
    ) {
        let mut gallery = Gallery::new(first, extremes);
        batches.iter().for_each(|samples| gallery.update(&batch(samples)).unwrap());
        let all = (0..).zip(&batches).flat_map(|(batch, samples)| (0..).zip(samples).map(move |(at, right)| (batch, at, *right)));
        let all: Vec<Sample> = all.collect();
        let scored = |descending: bool| {
            let mut scored: Vec<Sample> = all.iter().copied().filter(|(.., right)| right.is_some()).collect();
            scored.sort_by_key(|(.., right)| right.map(|right| if descending { 4 - right } else { right }));
            scored.truncate(extremes);
            scored
        };
        let mut merged = Gallery::new(first, extremes);
        let share = |samples: &[Option<u8>], rank: usize| {
            let place = |rank: usize| (samples.len() * rank).div_ceil(ranks);
            batch(&samples[place(rank)..place(rank + 1)])
        };
        let of_rank = |rank| {
            let mut gallery = Gallery::new(first, extremes);
            batches.iter().for_each(|samples| gallery.update(&share(samples, rank)).unwrap());
            gallery.state().unwrap()
        };
        merged.merge(&(0..ranks).map(of_rank).collect::<Vec<_>>()).unwrap();
        let tallies = gallery.tallies().unwrap();
        prop_assert_eq!(&tallies, &merged.tallies().unwrap());
        let expected = all.iter().map(|(.., right)| right.map_or([0, 0], |right| [right.into(), 4u64]));
        prop_assert!(tallies.iter().map(|classes| [classes[0].hits, classes[0].support]).eq(expected));
        for gallery in [gallery, merged] {
            prop_assert_eq!(found(gallery.first().unwrap(), &batches), &all[..first.min(all.len())]);
            prop_assert_eq!(found(gallery.worst().unwrap(), &batches), scored(false));
            prop_assert_eq!(found(gallery.best().unwrap(), &batches), scored(true));
            let sizes = gallery.scores().unwrap();
            prop_assert!(sizes.iter().map(Vec::len).eq(batches.iter().map(Vec::len)));
        }
    }
}
