use super::*;
use crate::Segmentation;
use serde::Deserialize;

/// Output of reference/detail.py.
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

const ONE: NonZeroU16 = NonZeroU16::MIN;

fn count(logits: &Tensor, targets: &Tensor) -> Counted {
    let classes = ["a", "b", "c"].map(String::from).into();
    Segmentation::new(classes, Device::Cpu).unwrap().count(&Tensor::from(0f32), logits, targets).unwrap()
}

fn show(detail: &mut Detail, logits: &Tensor, targets: &Tensor) {
    detail.update(logits, targets, &count(logits, targets)).unwrap();
}

#[test]
fn everything_is_as_numpy_counts_it_in_one_batch_and_in_several() {
    let (logits, targets, expected) = reference();
    for ends in [&[3][..], &[1, 2, 3], &[2, 3]] {
        let batches = [0].iter().chain(ends).zip(ends).map(|(start, end)| *start..*end);
        let mut detail = Detail::new(3, ONE, Device::Cpu).unwrap();
        for batch in batches {
            let part = |of: &Tensor| of.narrow(0, batch.start, batch.end - batch.start);
            show(&mut detail, &part(&logits), &part(&targets));
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
    }
}

#[test]
fn the_score_of_a_sample_is_as_numpy_counts_it() {
    let (logits, targets, expected) = reference();
    let found = Vec::<f64>::try_from(count(&logits, &targets).scores().unwrap()).unwrap();
    assert_eq!(found.len(), expected.scores.len());
    for (found, expected) in found.into_iter().zip(&expected.scores) {
        match expected {
            Some(expected) => assert!((found - expected).abs() < 1e-12, "{found} and {expected}"),
            None => assert!(found.is_nan(), "{found}"),
        }
    }
}

#[test]
fn with_a_stride_every_so_manyth_row_and_column_counts() {
    let (logits, targets, _) = reference();
    let kept = Tensor::zeros_like(&targets).to_kind(Kind::Bool);
    for row in [0, 2, 4] {
        for column in [0, 2, 4] {
            let _ = kept.narrow(1, row, 1).narrow(2, column, 1).fill_(1);
        }
    }
    let [mut strided, mut whole] = [2, 1].map(|n| Detail::new(3, NonZeroU16::new(n).unwrap(), Device::Cpu).unwrap());
    show(&mut strided, &logits, &targets);
    show(&mut whole, &logits, &targets.where_self(&kept, &Tensor::full_like(&targets, IGNORE_INDEX)));
    assert_eq!(strided.thresholds().unwrap(), whole.thresholds().unwrap());
    assert_eq!(strided.calibration().unwrap(), whole.calibration().unwrap());
}

#[test]
fn outputs_that_are_no_numbers_are_counted() {
    let (logits, targets, _) = reference();
    let mut detail = Detail::new(3, ONE, Device::Cpu).unwrap();
    show(&mut detail, &(logits * f64::NAN), &targets);
    let pixels: u64 = detail.calibration().unwrap().iter().map(|bin| bin.count).sum();
    assert_eq!(pixels, targets.ne(IGNORE_INDEX).sum(Kind::Int64).int64_value(&[]) as u64);
}

#[test]
fn sums_by_bin_are_those_of_scattering() {
    let (doubles, pixels) = ((Kind::Double, Device::Cpu), 1000);
    let bin = (Tensor::arange(pixels, (Kind::Int64, Device::Cpu)) * 7919).remainder(CALIBRATION + 1).view([1, -1]);
    let values = (Tensor::arange(3 * pixels, doubles) * 12.9898).sin().view([3, -1]);
    let scattered = Tensor::zeros([3, CALIBRATION + 1], doubles).scatter_add(1, &bin.expand([3, -1], false), &values);
    assert!((summed(&bin, &values).unwrap() - scattered).abs().max().double_value(&[]) < 1e-12);
}

#[test]
fn what_ranks_counted_adds_up_to_the_counts_of_one_pass() {
    let (logits, targets, _) = reference();
    let counted = |start, length| {
        let mut detail = Detail::new(3, ONE, Device::Cpu).unwrap();
        show(&mut detail, &logits.narrow(0, start, length), &targets.narrow(0, start, length));
        detail
    };
    let mut merged = counted(0, 1);
    merged.merge(&[counted(0, 1), counted(1, 2), counted(3, 0)].map(|detail| detail.state())).unwrap();
    assert_eq!(merged.thresholds().unwrap(), counted(0, 3).thresholds().unwrap());
    for (own, other) in merged.calibration().unwrap().iter().zip(counted(0, 3).calibration().unwrap()) {
        assert_eq!((own.correct, own.count), (other.correct, other.count));
        assert!((own.sum - other.sum).abs() < 1e-9, "{own:?} {other:?}");
    }
}
