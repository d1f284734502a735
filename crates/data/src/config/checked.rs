//! The check of everything that a configuration refers to.

use super::Config;
use crate::check::finding::{Finding, Kind, annotated, unmatched};
use crate::check::{Report, check, strays};
use crate::error::Error;
use crate::list::annotated::severity::is_wrong;
use crate::list::split::Split;
use crate::load::IGNORE;

/// Checks everything that a configuration refers to: its samples as [`check`] does, its folders and its labels. Calls
/// `progress` with the number of all samples after each sample.
///
/// # Errors
///
/// Whatever leaves no samples to check: a configuration that cannot work, a missing folder, a list that cannot be read.
pub fn check_config(config: &Config, workers: u64, mut progress: impl FnMut(u64)) -> Result<Report, Error> {
    let config = &config.clone().completed()?;
    let (mut splits, mut findings) = (Vec::new(), Vec::new());
    for split in [Split::Train, Split::Validation] {
        let (dataset, errors) = config.open_sound(split)?;
        splits.push((split, dataset));
        findings.extend(errors.iter().flat_map(unmatched));
    }
    let samples = splits.iter().map(|(_, dataset)| dataset.len()).sum();
    let report = check(&splits, &config.classes(), workers, || progress(samples))?;
    findings.extend(config.annotation_problems()?.iter().map(|problem| annotated(problem, is_wrong(&problem.trouble))));
    findings.extend(config.unused_masks()?.iter().flat_map(|path| strays::stray(path)));
    for (split, (_, dataset)) in report.splits.iter().zip(&splits) {
        let shown = |id: u8| match split.classes.get(usize::from(id)) {
            _ if id == IGNORE => split.ignored > 0.0,
            class => class.is_some_and(|class| class.pixels > 0),
        };
        findings.extend(match config.check_shown(split.split, dataset.as_ref(), shown) {
            Ok(None) => None,
            Ok(Some(warning)) => Some(Finding::new(Kind::OneClass, warning)),
            Err(invalid) => Some(Finding::new(Kind::Unlabelled, format!("data.{invalid}"))),
        });
    }
    Ok(report.with(findings))
}
