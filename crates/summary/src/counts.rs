//! Binary confusion counts at a threshold.

/// Binary confusion counts; a prediction is positive if its probability is at least the threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Predicted positive, correctly.
    pub true_positives: u64,
    /// Predicted positive, wrongly.
    pub false_positives: u64,
    /// Predicted negative, correctly.
    pub true_negatives: u64,
    /// Predicted negative, wrongly.
    pub false_negatives: u64,
}

impl Counts {
    /// Returns TP / (TP + FP), or 0 if nothing is predicted positive.
    pub fn precision(&self) -> f64 {
        ratio(self.true_positives, self.false_positives)
    }

    /// Returns TP / (TP + FN), or 0 if the truth has no positives.
    pub fn recall(&self) -> f64 {
        ratio(self.true_positives, self.false_negatives)
    }
}

/// Returns `part / (part + rest)`, or 0 if both are 0.
fn ratio(part: u64, rest: u64) -> f64 {
    if part == 0 { 0.0 } else { part as f64 / (part as f64 + rest as f64) }
}
