//! Formats scores for the log, for stdout and for programs.

use anyhow::{Context, Result};
use contract::{Scores, listed};
use data::{Noted, Passed, Split};
use metric::Interval;
use serde_json::{Map, Value, json};
pub use session::score;
use std::io::ErrorKind;

/// Maximum number of samples named in a log line.
const NAMED: usize = 50;

/// Prints to stdout, with terminal control characters escaped ([`terminal::clean`]; JSON keeps its meaning). A closed
/// pipe (`| head`) is no error.
pub fn print(text: &str) -> Result<()> {
    match terminal::print(&terminal::clean(text)) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("writing to stdout"),
        _ => Ok(()),
    }
}

/// Prints the result of work that is done and saved elsewhere. A failure to print is only a warning.
pub fn show(text: &str) {
    match terminal::show(&terminal::clean(text)) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            log::warn!("Done, but the result was not printed: writing to stdout: {error}");
        }
        _ => {}
    }
}

/// Returns ` at RATE images/s`, or nothing if the rate is not known.
pub fn at_rate(rate: f64, digits: usize) -> String {
    if rate.is_finite() { format!(" at {rate:.digits$} images/s") } else { String::new() }
}

/// Joins the lines of a table. Line breaks in names are escaped.
pub fn lines(lines: &[String]) -> String {
    lines.iter().map(|line| terminal::clean_line(line)).collect::<Vec<_>>().join("\n")
}

/// Warns of samples that were left out just now.
pub fn skipped(passed: &[Passed]) {
    for Passed { name, reason } in passed {
        log::warn!("Skipped sample '{name}': {reason}");
    }
}

/// Warns of samples of a split that will be left out.
pub fn skipped_of<'p>(split: Split, passed: impl IntoIterator<Item = &'p Passed>) {
    for Passed { name, reason } in passed {
        log::warn!("Skipped the {split} sample '{name}': {reason}");
    }
}

/// Warns of contents of image files that are ignored, once for all files.
pub fn noted(noted: &Noted) {
    noted.lines().iter().for_each(|line| log::warn!("{line}"));
}

/// Warns of annotations that were left out: of the first few, and of the number of the others.
pub fn left_out(problems: &[String]) {
    problems.iter().take(NAMED).for_each(|problem| log::warn!("{problem}; the annotation is left out"));
    if problems.len() > NAMED {
        log::warn!("{} more annotations are left out: app data check names all", problems.len() - NAMED);
    }
}

/// Prints a line of JSON about an image that cannot be read.
pub fn broken(passed: &Passed) -> Result<()> {
    print(&json!({ "name": passed.name, "error": passed.reason }).to_string())
}

/// Warns, at the end, of all samples that were left out.
pub fn all_skipped(passed: &[Passed]) {
    if !passed.is_empty() {
        let names = listed(passed.iter().map(|passed| &passed.name), NAMED);
        log::warn!("{} samples could not be loaded and were left out: {names}", passed.len());
    }
}

/// Columns of a table of classes: score and heading. Those of boundaries are shown if they were scored.
const COLUMNS: [(&str, &str); 7] = [
    ("iou", "iou"),
    ("dice", "dice"),
    ("precision", "precision"),
    ("recall", "recall"),
    ("boundary_iou", "boundary iou"),
    ("hausdorff95", "hausdorff95"),
    ("surface_dice", "surface dice"),
];

/// Formats a table: the totals, then a row for each class.
pub fn table(scores: &Scores, classes: &[String]) -> String {
    table_with(scores, classes, &[])
}

/// Formats a table like [`table`], with the `intervals` of the totals and of IoU.
pub fn table_with(scores: &Scores, classes: &[String], intervals: &[(String, Interval)]) -> String {
    let interval = |name: &str| {
        let found = intervals.iter().find(|(of, _)| of == name);
        found.map_or(String::new(), |(_, Interval { low, high })| format!(" ({low:.4} to {high:.4})"))
    };
    let mut lines: Vec<String> = Vec::new();
    let totals = || scores.iter().filter(|(name, _)| !name.contains('/'));
    let width = totals().map(|(name, _)| name.len()).max().unwrap_or(0).max(16);
    for (name, value) in totals() {
        let value = if name == "pixels" { format!("{value:.0}") } else { format!("{value:.4}") };
        lines.push(format!("{name:<width$} {value}{}", interval(name)));
    }
    let is_scored =
        |score: &str| scores.iter().any(|(name, _)| name.split_once('/').is_some_and(|(of, _)| of == score));
    let columns: Vec<(&str, &str)> = COLUMNS.into_iter().filter(|(score, _)| is_scored(score)).collect();
    let headings = std::iter::once("class").chain(columns.iter().map(|(_, heading)| *heading));
    let mut rows: Vec<Vec<String>> = vec![headings.map(String::from).collect()];
    for class in classes {
        let of = |score: &str| match self::score(scores, &format!("{score}/{class}")) {
            value if value.is_nan() => "absent".to_string(),
            value if score == "iou" => format!("{value:.4}{}", interval(&format!("iou/{class}"))),
            value => format!("{value:.4}"),
        };
        let shown = std::iter::once(terminal::clean_line(class));
        rows.push(shown.chain(columns.iter().map(|(score, _)| of(score))).collect());
    }
    let width = |column: usize| {
        let widest = rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        if column == 0 { 16 } else { widest.max(8) }
    };
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    lines.push(String::new());
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        lines.push(cells.collect::<Vec<_>>().join(" ").trim_end().to_string());
    }
    lines.join("\n")
}

/// Returns one JSON object: the totals by name, `iou` and the other scores of classes by class. A class that does not
/// occur is null.
pub fn object(scores: &Scores) -> Map<String, Value> {
    let mut object = Map::new();
    for (name, value) in scores {
        match name.split_once('/') {
            None if name == "pixels" => drop(object.insert(name.clone(), json!(*value as u64))),
            None => drop(object.insert(name.clone(), json!(value))),
            Some((group, class)) => {
                let group = object.entry(group).or_insert_with(|| json!({}));
                group[class] = json!(value);
            }
        }
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores() -> Scores {
        [("loss", 0.5), ("mean_iou", 0.25), ("iou/pet", 0.25), ("iou/sky", f64::NAN), ("pixels", 12.0)]
            .map(|(name, value)| (name.to_string(), value))
            .to_vec()
    }

    #[test]
    fn a_rate_that_is_not_known_is_not_said() {
        assert_eq!([at_rate(12.34, 1), at_rate(f64::NAN, 0), at_rate(f64::INFINITY, 0)], [" at 12.3 images/s", "", ""]);
    }

    #[test]
    fn classes_are_grouped_and_absent_ones_are_null() {
        let expected = json!({"loss": 0.5, "mean_iou": 0.25, "iou": {"pet": 0.25, "sky": null}, "pixels": 12});
        assert_eq!(Value::Object(object(&scores())), expected);
    }

    #[test]
    fn a_table_has_a_row_for_each_class() {
        let table = table(&scores(), &["pet".into(), "sky".into()]);
        let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert!(rows.contains(&vec!["pet", "0.2500"]) && rows.contains(&vec!["sky", "absent"]));
        assert!(rows.contains(&vec!["pixels", "12"]) && rows.contains(&vec!["class", "iou"]));
    }

    #[test]
    fn boundaries_and_intervals_are_shown_where_they_are_known() {
        let mut scores = scores();
        scores.extend([("dice/pet".into(), 0.5), ("boundary_iou/pet".into(), 0.125)]);
        let intervals = [("mean_iou", 0.125), ("iou/pet", 0.0625)]
            .map(|(name, low)| (name.to_string(), Interval { low, high: 0.75 }));
        let table = table_with(&scores, &["pet".into(), "sky".into()], &intervals);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[..2], ["loss             0.5000", "mean_iou         0.2500 (0.1250 to 0.7500)"]);
        assert_eq!(lines[4], "class            iou                       dice     boundary iou");
        assert_eq!(lines[5], "pet              0.2500 (0.0625 to 0.7500) 0.5000   0.1250");
        assert_eq!(lines[6], "sky              absent                    absent   absent");
    }
}
