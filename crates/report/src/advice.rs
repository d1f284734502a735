//! What is wrong with a run, and what to change.
//!
//! Each check is a pure function of a [`Run`] with its threshold in its doc comment. It gives evidence in numbers, or says
//! why it could not look.

mod classes;
mod curves;
mod speed;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use classes::{absent_classes, ignored_pixels, one_class, unfound_classes};
pub use curves::{learning_rate_too_high, overfitting, undertrained};
pub use speed::data_bound;

use crate::Run;

/// Something that a person should know of, and can change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// What it is, in a few words.
    pub title: String,
    /// What it was seen by, with numbers.
    pub evidence: String,
    /// What to do.
    pub advice: String,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Nothing.
    Fine,
    /// Something.
    Warning(Warning),
    /// The run did not write down what the check looks at: this.
    Unknown(String),
}

/// A check and what it found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was looked for.
    pub name: &'static str,
    /// What was found.
    pub finding: Finding,
}

/// All checks, in the order of what ruins a run most.
pub fn examine(run: &Run) -> Vec<Check> {
    type Look = fn(&Run) -> Finding;
    let checks: [(&'static str, Look); 8] = [
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

/// A warning, or nothing.
fn warn(found: Option<Warning>) -> Finding {
    found.map_or(Finding::Fine, Finding::Warning)
}

fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (sum, count) = values.into_iter().fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}
