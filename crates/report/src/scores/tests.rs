//! Expected numbers from `reference/scores.py`, computed by scikit-learn and NumPy.

use super::*;

fn confusion() -> Vec<Vec<u64>> {
    let rows = [[900, 60, 30, 0, 10], [80, 700, 20, 0, 0], [50, 40, 110, 0, 0], [7, 0, 3, 0, 0], [0; 5]];
    rows.map(Vec::from).into()
}

fn close(found: Option<f64>, expected: f64) -> bool {
    found.map_or(expected.is_nan(), |found| (found - expected).abs() < 1e-12)
}

#[test]
fn the_scores_of_classes_are_scikit_learns() {
    let expected = [
        [0.7915567282321899, 0.8836524300441826, 0.8678881388621023, 0.9],
        [0.7777777777777778, 0.875, 0.875, 0.875],
        [0.43478260869565216, 0.6060606060606061, 0.6748466257668712, 0.55],
        [0.0, 0.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, 0.0],
    ];
    for (found, expected) in class_scores(&confusion()).into_iter().zip(expected) {
        let found = [found.iou, found.dice, found.precision, found.recall];
        assert!(found.into_iter().zip(expected).all(|(a, b)| close(a, b)), "{found:?} {expected:?}");
    }
    assert!(close(accuracy(&confusion()), 0.8507462686567164));
}

#[test]
fn support_and_predictions_are_the_matrix_sums() {
    let scores = class_scores(&confusion());
    assert_eq!(scores.iter().map(|class| class.support).collect::<Vec<_>>(), [1000, 800, 200, 10, 0]);
    assert_eq!(scores.iter().map(|class| class.predicted).collect::<Vec<_>>(), [1037, 800, 163, 0, 10]);
}

#[test]
fn a_class_in_neither_has_no_score_and_is_not_in_the_mean() {
    let scores = class_scores(&[[3, 1, 0], [0; 3], [0; 3]].map(Vec::from));
    assert_eq!((scores[2].iou, scores[2].dice, scores[2].precision, scores[2].recall), (None, None, None, None));
    assert_eq!(mean_iou(&scores), Some((0.75 + 0.0) / 2.0));
    assert_eq!((mean_iou(&[]), accuracy(&[])), (None, None));
}

#[test]
fn a_ragged_matrix_is_read_as_far_as_it_goes() {
    let scores = class_scores(&[vec![3, 1], vec![]]);
    assert_eq!((scores[0].iou, scores[1].predicted, scores[1].support), (Some(0.75), 1, 0));
    assert_eq!(accuracy(&[vec![3, 1], vec![]]), Some(0.75));
}

#[test]
fn the_calibration_error_is_that_of_the_single_pixels() {
    let rows = [
        (43.28, 14, 124),
        (59.905, 30, 134),
        (79.52, 42, 144),
        (92.504, 67, 142),
        (113.042, 89, 151),
        (136.946, 110, 161),
        (136.658, 138, 144),
    ];
    let known = rows.map(|(confidence_sum, correct, count)| Bin { confidence_sum, correct, count });
    let bins: Vec<Bin> = [Bin::default(); 3].into_iter().chain(known).collect();
    assert!(close(calibration_error(&bins), 0.17453899999999997));
    assert_eq!(calibration_error(&[Bin::default(); 10]), None);
}
