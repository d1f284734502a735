//! Checks for problems of a run, with advice on what to change.
//!
//! Each check is a pure function of a [`Run`] with its threshold in its doc comment. It returns evidence in numbers, or
//! the reason why it could not check.

mod classes;
mod curves;
mod finding;
mod speed;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use classes::{absent_classes, ignored_pixels, one_class, unfound_classes};
pub use curves::{learning_rate_too_high, overfitting, undertrained};
pub use finding::{Finding, Warning};
pub use speed::data_bound;

use crate::Run;

/// Check with its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Name of the problem.
    pub name: &'static str,
    /// Result.
    pub finding: Finding,
}

/// Runs all checks, the most harmful problems first.
pub fn examine(run: &Run) -> Vec<Check> {
    type Rule = fn(&Run) -> Finding;
    let checks: [(&'static str, Rule); 8] = [
        ("learning rate too high", learning_rate_too_high),
        ("one class", one_class),
        ("classes not found", unfound_classes),
        ("over-fitting", overfitting),
        ("under-training", undertrained),
        ("waiting for data", data_bound),
        ("absent classes", absent_classes),
        ("ignored pixels", ignored_pixels),
    ];
    checks.into_iter().map(|(name, check)| Check { name, finding: check(run) }).collect()
}
