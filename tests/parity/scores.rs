//! Accuracy, IoU and Dice, and the mean of a loss over batches of different size.

use super::{Recorded, assert_close};
use contract::Metric;
use metric::Segmentation;
use tch::{Device, Tensor};

fn measured(recorded: &Recorded) -> Segmentation {
    let classes = (0..5).map(|class| class.to_string()).collect();
    let mut metric = Segmentation::new(classes, Device::Cpu).unwrap();
    let losses = recorded.get("losses");
    for batch in 0..2 {
        let of = |part: &str| recorded.get(&format!("{part}{batch}"));
        metric.count(&losses.get(batch), &of("logits"), &of("targets")).unwrap();
    }
    metric
}

#[test]
fn scores_are_those_of_numpy() {
    let recorded = Recorded::open("scores");
    let mut scores = measured(&recorded).compute().unwrap();
    // Those that scikit-learn computes are in `measures`.
    scores.retain(|(name, _)| !["precision", "recall", "fw_iou", "kappa"].iter().any(|other| name.contains(other)));
    let (names, values): (Vec<_>, Vec<_>) = scores.into_iter().unzip();
    let mut expected: Vec<String> = ["loss", "accuracy", "mean_iou", "mean_dice"].map(String::from).into();
    expected.extend(["iou", "dice"].iter().flat_map(|score| (0..5).map(move |class| format!("{score}/{class}"))));
    expected.push("pixels".into());
    assert_eq!(names, expected);
    assert_close("scores", &Tensor::from_slice(&values), &recorded.get("scores"));
    // The count of pixels is the largest of them and would hide the others.
    for (index, (name, value)) in names.iter().zip(values).enumerate() {
        assert_close(name, &Tensor::from(value), &recorded.get("scores").get(index as i64));
    }
}

#[test]
fn the_recorded_case_holds_an_absent_class_and_one_that_is_only_predicted() {
    let confusion = measured(&Recorded::open("scores")).confusion().unwrap();
    assert_eq!((confusion.iou()[3], confusion.dice()[3]), (None, None));
    assert_eq!((confusion.iou()[4], confusion.dice()[4]), (Some(0.0), Some(0.0)));
}

#[test]
fn the_confusion_matrix_is_that_of_numpy() {
    let recorded = Recorded::open("scores");
    let confusion = measured(&recorded).confusion().unwrap();
    let expected = recorded.get("confusion");
    for target in 0..5 {
        for predicted in 0..5 {
            let count = expected.int64_value(&[target, predicted]);
            assert_eq!(confusion.count(target as usize, predicted as usize), count, "{target} taken for {predicted}");
        }
    }
}
