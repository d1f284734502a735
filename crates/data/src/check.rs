//! Inspection of every sample of a data set, uncropped and at the size in its files: finds broken files and duplicates,
//! and measures classes and colours.
//!
//! [`verify`](crate::verify) stops at the first mask that training could not use; this finds every problem, and takes
//! the time to decode every image.

mod duplicates;
pub(crate) mod finding;
mod inspect;
pub(crate) mod statistics;
pub(crate) mod strays;
pub(crate) mod verify;

use crate::decode::part;
use crate::error::Error;
use crate::list::split::Split;
use crate::load::dataset::Dataset;
use crate::load::ordered::Ordered;
use duplicates::Compared;
use finding::{Finding, Kind, Severity};
use inspect::inspect;
use serde::Serialize;
use statistics::{Statistics, Tally, absent};
use std::collections::HashMap;
use std::sync::Arc;

/// Result of checking a data set.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Findings, the worst first.
    pub findings: Vec<Finding>,
    /// Statistics of the training and the validation data.
    pub splits: Vec<Statistics>,
}

impl Report {
    /// Returns the number of findings of this severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// Adds `findings`, sorts all and removes duplicates: a sample that is listed twice is inspected twice, and several
    /// checks may find the same thing.
    pub(crate) fn with(mut self, findings: impl IntoIterator<Item = Finding>) -> Self {
        self.findings.extend(findings);
        self.findings.sort_by(|a, b| (a.kind, &a.samples, &a.files).cmp(&(b.kind, &b.samples, &b.files)));
        self.findings.dedup();
        self
    }
}

/// Decodes every sample of `splits` with `workers` threads. `splits` should be all splits of the data set, since files
/// of the others would count as strays. Calls `progress` after each sample.
///
/// # Errors
///
/// Fails only if no thread can be started. A problem with a sample is a finding.
pub fn check(
    splits: &[(Split, Arc<dyn Dataset>)],
    classes: &[String],
    workers: u64,
    mut progress: impl FnMut(),
) -> Result<Report, Error> {
    let mut findings = Vec::new();
    let mut seen = Vec::new();
    let mut statistics = Vec::new();
    for (split, dataset) in splits {
        let mut tally = Tally::new(*split, classes, &dataset.layout());
        let (source, ids) = (Arc::clone(dataset), classes.len());
        let job = move |index| Ok(inspect(source.as_ref(), index, ids));
        // Two for each worker: one being inspected, one waiting to be collected.
        let inspections = Ordered::new(0..dataset.len(), workers, workers.saturating_mul(2).max(1), Box::new(job));
        for (index, inspection) in (0..).zip(inspections) {
            let mut inspection = inspection?;
            let name = dataset.name(index);
            findings.extend(inspection.findings.drain(..).map(|finding| finding.of(*split, &name)));
            tally.add(&inspection);
            let image = dataset.paths(index).ok().and_then(|paths| paths.into_iter().next());
            let volume = image.filter(|path| part::is_slice(path)).map(|path| part::first(&path));
            seen.push(Compared {
                split: *split,
                name,
                volume,
                prints: inspection.decoded.map(|decoded| decoded.prints),
            });
            progress();
        }
        let measured = tally.finish();
        findings.extend(absent(&measured));
        statistics.push(measured);
    }
    findings.extend(repeated(&seen));
    findings.extend(duplicates::find(&seen));
    findings.extend(strays::find(splits)?);
    Ok(Report { findings: Vec::new(), splits: statistics }.with(findings))
}

/// Finds names that are listed more than once, in one split or in both.
fn repeated(seen: &[Compared]) -> Vec<Finding> {
    let mut places: HashMap<&str, Vec<&Compared>> = HashMap::new();
    for sample in seen {
        places.entry(&sample.name).or_default().push(sample);
    }
    let several = places.into_values().filter(|places| places.len() > 1);
    several
        .map(|places| {
            let message = format!("is listed {} times", places.len());
            Finding::new(Kind::RepeatedName, message).samples(places.iter().map(|seen| (seen.split, &*seen.name)))
        })
        .collect()
}

#[cfg(test)]
mod tests;
