//! Results of checks.

/// Problem that the user can fix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Short description.
    pub title: String,
    /// Evidence, with numbers.
    pub evidence: String,
    /// Advice.
    pub advice: String,
}

/// Result of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// No problem.
    Fine,
    /// A problem.
    Warning(Warning),
    /// The check was impossible, for this reason.
    Unknown(String),
}

/// Converts a warning, or none, to a finding.
pub fn warn(found: Option<Warning>) -> Finding {
    found.map_or(Finding::Fine, Finding::Warning)
}

/// Returns the mean, NaN of nothing.
pub fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (sum, count) = values.into_iter().fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}
