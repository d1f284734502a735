//! Right and wrong answers at a threshold.

/// How many answers were what, where those with a probability from a threshold on count as positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Positive, and rightly so.
    pub true_positives: u64,
    /// Positive, and wrongly so.
    pub false_positives: u64,
    /// Negative, and rightly so.
    pub true_negatives: u64,
    /// Negative, and wrongly so.
    pub false_negatives: u64,
}

impl Counts {
    /// The share of what is positive that is so rightly; 0 where nothing is positive.
    pub fn precision(&self) -> f64 {
        ratio(self.true_positives, self.false_positives)
    }

    /// The share of what ought to be positive that is; 0 where nothing ought to be.
    pub fn recall(&self) -> f64 {
        ratio(self.true_positives, self.false_negatives)
    }
}

/// `part / (part + rest)`.
fn ratio(part: u64, rest: u64) -> f64 {
    if part == 0 { 0.0 } else { part as f64 / (part as f64 + rest as f64) }
}
