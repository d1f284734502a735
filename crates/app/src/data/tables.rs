//! Formats the findings about a data set as tables for people.

use super::offers::offers;
use crate::common::bounds::bounded;
use crate::common::config::Config;
use data::{Finding, Report, Severity, Sizes, Statistics};

/// Maximum number of findings of a kind, and of samples and files of a finding, in the table; all are in the JSON.
const TOLD: usize = 20;
const NAMED: usize = 4;

/// Formats the findings, then the statistics of each split.
pub fn check(report: &Report) -> String {
    let mut lines: Vec<String> = Vec::new();
    for kind in report.findings.chunk_by(|a, b| a.kind == b.kind) {
        lines.extend(kind.iter().take(TOLD).map(finding));
        if kind.len() > TOLD {
            lines.push(format!("        and {} more like these (--json has all)", kind.len() - TOLD));
        }
    }
    if !lines.is_empty() {
        lines.push(String::new());
    }
    for split in &report.splits {
        lines.extend(table(split));
        lines.push(String::new());
    }
    let [errors, warnings] = [Severity::Error, Severity::Warning].map(|severity| report.count(severity));
    lines.push(match (errors, warnings) {
        (0, 0) => "Nothing odd was found.".into(),
        _ => format!("{} and {} were found.", counted(errors, "error"), counted(warnings, "warning")),
    });
    crate::common::output::lines(&lines)
}

/// Formats the statistics of each split, and the values that belong into a configuration.
pub fn stats(report: &Report, config: &Config) -> String {
    let mut lines = Vec::new();
    for split in &report.splits {
        lines.extend(table(split));
        lines.push(format!("mean  {}", numbers(&split.mean)));
        lines.push(format!("std   {}", numbers(&split.std)));
        lines.push(String::new());
    }
    if let Some(train) = report.splits.first() {
        lines.push("For the configuration, from the training data:".into());
        lines.extend(offers(train, config));
    }
    crate::common::output::lines(&lines)
}

fn finding(finding: &Finding) -> String {
    let severity = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let files = finding.files.iter().map(|path| path.display().to_string());
    // The message of an error names its files already.
    let named: Vec<String> =
        finding.samples.iter().cloned().chain(files.filter(|file| !finding.message.contains(file))).collect();
    let mut shown = named.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if named.len() > NAMED {
        shown = format!("{shown} and {} more", named.len() - NAMED);
    }
    let separator = if shown.is_empty() { "" } else { ": " };
    bounded(&format!("{severity:<8}{shown}{separator}{}", finding.message))
}

fn table(split: &Statistics) -> Vec<String> {
    let mut lines = vec![format!(
        "{}: {}, {} of them measured, {:.2} % of the pixels ignored",
        split.split.name(),
        counted(split.samples as usize, "sample"),
        split.decoded,
        split.ignored * 100.0
    )];
    if let Some(sizes) = &split.sizes {
        lines.extend(of_sizes(sizes));
    }
    let width = split.classes.iter().map(|class| class.name.chars().count()).max().unwrap_or_default().max(5);
    lines.push(format!("{:<width$} {:>14} {:>8} {:>8} {:>8}", "class", "pixels", "share", "masks", "weight"));
    for class in &split.classes {
        let weight = class.weight.map_or("-".into(), |weight| format!("{weight:.3}"));
        lines.push(format!(
            "{:<width$} {:>14} {:>7.2}% {:>8} {weight:>8}",
            class.name,
            class.pixels,
            class.share * 100.0,
            class.samples
        ));
    }
    lines
}

fn of_sizes(sizes: &Sizes) -> Vec<String> {
    let spread = |[least, median, most]: [u32; 3]| format!("{least} to {most} (median {median})");
    let common: Vec<String> =
        sizes.common.iter().map(|([height, width], count)| format!("{height}x{width} ({count})")).collect();
    vec![
        format!("height {}, width {} pixels", spread(sizes.height), spread(sizes.width)),
        format!("{}; most frequent: {}", counted(sizes.different, "size"), common.join(", ")),
    ]
}

fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

fn numbers(values: &[f64]) -> String {
    values.iter().map(|value| format!("{value:.4}")).collect::<Vec<_>>().join(", ")
}
