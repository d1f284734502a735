use super::*;
use serde::Deserialize;

/// What reference/detail.py wrote.
#[derive(Deserialize)]
struct Reference {
    logits: Vec<Vec<Vec<Vec<f32>>>>,
    targets: Vec<Vec<Vec<i64>>>,
    thresholds: Vec<Vec<[u64; 4]>>,
    calibration: Vec<(f64, u64, u64)>,
    scores: Vec<Option<f64>>,
}

fn reference() -> (Tensor, Tensor, Reference) {
    let reference: Reference = serde_json::from_str(include_str!("../../reference/detail.json")).unwrap();
    let logits: Vec<f32> = reference.logits.iter().flatten().flatten().flatten().copied().collect();
    let targets: Vec<i64> = reference.targets.iter().flatten().flatten().copied().collect();
    let (logits, targets) = (Tensor::from_slice(&logits), Tensor::from_slice(&targets));
    (logits.reshape([3, 3, 5, 6]), targets.reshape([3, 5, 6]), reference)
}

#[test]
fn everything_is_as_numpy_counts_it_in_one_batch_and_in_several() {
    let (logits, targets, expected) = reference();
    for ends in [&[3][..], &[1, 2, 3], &[2, 3]] {
        let batches: Vec<_> = [0].iter().chain(ends).zip(ends).map(|(start, end)| *start..*end).collect();
        let mut detail = Detail::new(3, Device::Cpu).unwrap();
        for batch in &batches {
            let part = |of: &Tensor| of.narrow(0, batch.start, batch.end - batch.start);
            detail.update(&part(&logits), &part(&targets)).unwrap();
        }
        let thresholds: Vec<Vec<[u64; 4]>> = detail
            .thresholds()
            .unwrap()
            .into_iter()
            .map(|class| {
                let counts = |t: Threshold| [t.true_positives, t.false_positives, t.true_negatives, t.false_negatives];
                class.into_iter().map(counts).collect()
            })
            .collect();
        assert_eq!(thresholds, expected.thresholds);
        for (found, (sum, correct, count)) in detail.calibration().unwrap().into_iter().zip(&expected.calibration) {
            assert!((found.sum - sum).abs() < 1e-5, "{found:?}");
            assert_eq!((found.correct, found.count), (*correct, *count));
        }
        let scores = detail.sample_scores().unwrap();
        assert!(scores.iter().map(Vec::len).eq(batches.iter().map(|batch| (batch.end - batch.start) as usize)));
        for (found, expected) in scores.into_iter().flatten().zip(&expected.scores) {
            match expected {
                Some(expected) => assert!((found - expected).abs() < 1e-6, "{found} and {expected}"),
                None => assert!(found.is_nan(), "{found}"),
            }
        }
    }
}

#[test]
fn outputs_that_are_no_numbers_are_counted() {
    let (logits, targets, _) = reference();
    let mut detail = Detail::new(3, Device::Cpu).unwrap();
    detail.update(&(logits * f64::NAN), &targets).unwrap();
    let pixels: u64 = detail.calibration().unwrap().iter().map(|bin| bin.count).sum();
    assert_eq!(pixels, targets.ne(IGNORE_INDEX).sum(Kind::Int64).int64_value(&[]) as u64);
}
