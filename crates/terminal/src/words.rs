//! Formatting of numbers for people. An unknown value is `-`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const UNKNOWN: &str = "-";

/// Formats a duration in at most two units: `42 s`, `3 min 07 s`, `1 h 03 min`, `2 d 03 h`.
pub(crate) fn time(seconds: f64) -> String {
    if !(seconds.is_finite() && seconds < 1e9) {
        return UNKNOWN.to_string();
    }
    let whole = seconds.max(0.0).round() as u64;
    let (minutes, hours, days) = (whole / 60, whole / 3600, whole / 86_400);
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{minutes} min {:02} s", whole % 60),
        3600..86_400 => format!("{hours} h {:02} min", minutes % 60),
        _ => format!("{days} d {:02} h", hours % 24),
    }
}

/// Formats images per second, without a unit.
pub(crate) fn rate(rate: f64) -> String {
    match rate {
        rate if !rate.is_finite() => UNKNOWN.to_string(),
        rate if rate >= 1e6 => small(rate),
        rate if rate < 9.95 => format!("{rate:.1}"),
        rate => format!("{rate:.0}"),
    }
}

/// Formats a loss or a score, in at most 9 characters.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        _ if value.is_nan() => UNKNOWN.to_string(),
        0.0 => "0.0000".to_string(),
        size if !(1e-3..1e5).contains(&size) => small(value),
        size if size >= 1000.0 => format!("{value:.1}"),
        _ => format!("{value:.4}"),
    }
}

/// Formats a number in scientific notation: `1.00e-3`.
pub(crate) fn small(value: f64) -> String {
    match value {
        0.0 => "0".to_string(),
        value if value.is_nan() => UNKNOWN.to_string(),
        value => format!("{value:.2e}"),
    }
}

/// Formats a share of 1 in percent.
pub(crate) fn share(part: f64) -> String {
    if part.is_finite() { format!("{:.0} %", part * 100.0) } else { UNKNOWN.to_string() }
}

/// Formats bytes in GiB.
pub(crate) fn gib(bytes: u64) -> String {
    let gib = bytes as f64 / f64::from(1 << 30);
    if gib < 99.95 { format!("{gib:.1}") } else { format!("{gib:.0}") }
}

/// Formats a time in UTC: `2026-03-01T08:15:30Z`.
pub(crate) fn stamp(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let (year, month, day) = date(since / 86_400);
    let (hour, minute, second) = (since / 3600 % 24, since / 60 % 60, since % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Returns year, month and day of the date `days` after 1970-01-01, in the Gregorian calendar.
fn date(mut days: u64) -> (u64, u64, u64) {
    let leap = |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in lengths {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_two_units() {
        let cases = [(0.0, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (187.0, "3 min 07 s"), (3599.7, "1 h 00 min")];
        let long = [(3780.0, "1 h 03 min"), (86_399.0, "23 h 59 min"), (183_600.0, "2 d 03 h"), (-3.0, "0 s")];
        for (seconds, expected) in cases.into_iter().chain(long) {
            assert_eq!(time(seconds), expected);
        }
        assert_eq!([f64::NAN, f64::INFINITY, 1e300].map(time), ["-"; 3]);
    }

    #[test]
    fn numbers_keep_what_can_be_seen_of_them() {
        let cases = [(0.43214, "0.4321"), (-2.0, "-2.0000"), (0.0, "0.0000"), (2e-5, "2.00e-5"), (1e7, "1.00e7")];
        for (value, expected) in cases {
            assert_eq!(number(value), expected);
        }
        assert_eq!([number(f64::NAN), number(f64::INFINITY), number(54321.0)], ["-", "inf", "54321.0"]);
        assert_eq!([rate(3.44), rate(9.96), rate(1234.4), rate(f64::NAN)], ["3.4", "10", "1234", "-"]);
        assert_eq!([small(1e-3), small(0.0), small(f64::NAN)], ["1.00e-3", "0", "-"]);
        assert_eq!([share(0.034), share(f64::NAN), gib(3 << 29), gib(200 << 30)], ["3 %", "-", "1.5", "200"]);
    }

    #[test]
    fn moments_are_those_of_the_calendar() {
        // python3 -c "import datetime as d; print(d.datetime.fromtimestamp(S, d.UTC).isoformat())"
        let cases = [
            (0, "1970-01-01T00:00:00Z"),
            (951_825_599, "2000-02-29T11:59:59Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(stamp(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
    }
}
