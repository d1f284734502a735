//! Formatting of numbers for readers.

use serde_json::Value;

/// Formats an integer with thousands separators: `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a share as percent: `12.3 %`, with a non-breaking space.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1}\u{a0}%", share * 100.0)
}

/// Formats a score, loss or rate: four decimals, or scientific notation for very small and very large values.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if (1e-3..1e6).contains(&size) => format!("{value:.4}"),
        _ => format!("{value:.2e}"),
    }
}

/// Formats a difference: with its sign and four decimals.
pub(crate) fn signed(value: f64) -> String {
    let sign = if value < 0.0 { '−' } else { '+' };
    format!("{sign}{:.4}", value.abs())
}

/// Formats a duration in its two largest units: `1 h 05 min`, `6 min 12 s`, `3.4 s`.
pub(crate) fn duration(seconds: f64) -> String {
    // Round first, so that 59.97 s become one minute.
    if (seconds * 10.0).round() < 600.0 {
        return format!("{seconds:.1}\u{a0}s");
    }
    let whole = seconds.round() as u64;
    let (days, hours, minutes, seconds) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60, whole % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes}\u{a0}min {seconds:02}\u{a0}s"),
        (0, _) => format!("{hours}\u{a0}h {minutes:02}\u{a0}min"),
        _ => format!("{days}\u{a0}d {hours:02}\u{a0}h"),
    }
}

/// Formats a value of the configuration: strings without quotes, all else as JSON.
pub(crate) fn value(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Lists quoted names for a sentence, only the first few if there are many.
pub(crate) fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const MOST: usize = 8;
    let names: Vec<&str> = names.into_iter().collect();
    let shown = names.iter().take(MOST).map(|name| format!("“{name}”")).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MOST) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(["0", "999", "1,000", "4,882,432"].map(String::from), [0, 999, 1000, 4_882_432].map(count));
        assert_eq!(percent(0.1234), "12.3\u{a0}%");
        assert_eq!(["0", "0.6188", "1.00e-5", "1.20e7"].map(String::from), [0.0, 0.61877, 1e-5, 1.2e7].map(number));
    }

    #[test]
    fn a_duration_has_its_two_greatest_units() {
        let expected = ["3.4 s", "1 min 00 s", "6 min 12 s", "1 h 05 min", "2 d 03 h"];
        let found = [3.42, 59.97, 372.2, 3900.0, 183_600.0].map(|seconds| duration(seconds).replace('\u{a0}', " "));
        assert_eq!(found, expected);
    }

    #[test]
    fn many_names_are_cut() {
        let all: Vec<String> = (0..10).map(|index| index.to_string()).collect();
        assert_eq!(names(["a", "b"]), "“a”, “b”");
        assert!(names(all.iter().map(String::as_str)).ends_with("“7” and 2 more"));
    }
}
