//! Scores computed from an evaluation's counts.

use crate::Bin;

/// Scores of one class. They are `None` for a class in neither targets nor predictions. If it is in only one of them, a
/// score of 0/0 is 0: a missed class must not look better than a bad one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassScores {
    /// `TP / (TP + FP + FN)`, the Jaccard index.
    pub iou: Option<f64>,
    /// `2 TP / (2 TP + FP + FN)`, which is F1.
    pub dice: Option<f64>,
    /// `TP / (TP + FP)`: the share of the predicted pixels that is correct.
    pub precision: Option<f64>,
    /// `TP / (TP + FN)`: the share of the target's pixels that is found.
    pub recall: Option<f64>,
    /// Number of pixels of this class in the targets.
    pub support: u64,
    /// Number of pixels of this class in the predictions.
    pub predicted: u64,
}

/// Returns the scores of each class from a square confusion matrix in pixels, `[target, prediction]`. Missing entries
/// of a row count as 0.
pub fn class_scores(confusion: &[Vec<u64>]) -> Vec<ClassScores> {
    let of = |class: usize| {
        let hits = at(&confusion[class], class);
        let support: u64 = confusion[class].iter().sum();
        let predicted: u64 = confusion.iter().map(|row| at(row, class)).sum();
        let absent = (support + predicted > 0).then_some(0.0);
        ClassScores {
            iou: ratio(hits, support + predicted - hits),
            dice: ratio(2 * hits, support + predicted),
            precision: ratio(hits, predicted).or(absent),
            recall: ratio(hits, support).or(absent),
            support,
            predicted,
        }
    };
    (0..confusion.len()).map(of).collect()
}

/// Returns the expected calibration error: the mean distance between confidence and accuracy, weighted by pixels;
/// `None` without pixels. Guo et al., "On Calibration of Modern Neural Networks", 2017, equation 3.
pub fn calibration_error(bins: &[Bin]) -> Option<f64> {
    let pixels: u64 = bins.iter().map(|bin| bin.count).sum();
    let distances = bins.iter().map(|bin| (bin.correct as f64 - bin.confidence_sum).abs());
    (pixels > 0).then(|| distances.sum::<f64>() / pixels as f64)
}

/// Returns the mean of at least two values, and their sample standard deviation.
pub fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0)).sqrt())
}

/// Returns the share of valid pixels that are predicted correctly.
pub(crate) fn accuracy(confusion: &[Vec<u64>]) -> Option<f64> {
    let hits = confusion.iter().enumerate().map(|(class, row)| at(row, class)).sum();
    ratio(hits, confusion.iter().flatten().sum())
}

/// Returns the mean IoU of all classes that have one.
pub(crate) fn mean_iou(scores: &[ClassScores]) -> Option<f64> {
    let values: Vec<f64> = scores.iter().filter_map(|class| class.iou).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn at(row: &[u64], class: usize) -> u64 {
    row.get(class).copied().unwrap_or(0)
}

pub(crate) fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests;
