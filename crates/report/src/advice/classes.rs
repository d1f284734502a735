//! Checks of the scores of single classes.

use super::finding::{Finding, Warning, warn};
use crate::scores::{class_scores, ratio};
use crate::text::{count, names, percent};
use crate::{Line, Run, Stage};

/// Checks that some pixels of each class in the targets are found.
///
/// Threshold: IoU 0. With an evaluation, its confusion matrix also shows if the class is never predicted or always in
/// the wrong place; without one, the IoU is that of the last validation.
pub fn unfound_classes(run: &Run) -> Finding {
    let found: Vec<(&str, String)> = match (&run.evaluation, last(run)) {
        (Some(evaluation), _) => {
            let scores = class_scores(&evaluation.confusion);
            let unfound =
                run.classes.iter().zip(scores).filter(|(_, scores)| scores.support > 0 && scores.iou == Some(0.0));
            let words = |predicted| match predicted {
                0 => "never predicted".to_string(),
                pixels => format!("predicted for {} pixels, none of them right", count(pixels)),
            };
            let describe =
                |support, predicted| format!("{} pixels in the targets, {}", count(support), words(predicted));
            unfound.map(|(class, of)| (class.name.as_str(), describe(of.support, of.predicted))).collect()
        }
        (None, Some(line)) => {
            let zero = |class: &&crate::Class| line.get(&format!("iou/{}", class.name)) == Some(0.0);
            run.classes.iter().filter(zero).map(|class| (class.name.as_str(), "IoU 0".into())).collect()
        }
        (None, None) => return Finding::Unknown("no validation".into()),
    };
    warn((!found.is_empty()).then(|| {
        let each = found.iter().take(8).map(|(name, what)| format!("“{name}”: {what}")).collect::<Vec<_>>().join("; ");
        Warning {
            title: format!("{} of {} classes not found at all: {}", found.len(), run.classes.len(), names(found.iter().map(|f| f.0))),
            evidence: format!("{each}."),
            advice: "If the class is rare: weigh it more (loss.class_weights) or add Dice to the loss (loss.dice). Also check \
                     that its masks are right (app data check), and that it survives resizing to data.size."
                .into(),
        }
    }))
}

/// Checks that the validation targets have more than one class: a network that always predicts the only class has
/// perfect scores.
///
/// Threshold: one class with pixels in the evaluation's targets.
pub fn one_class(run: &Run) -> Finding {
    let Some(evaluation) = &run.evaluation else { return Finding::Unknown("no evaluation".into()) };
    let counts = |row: &[u64]| row.iter().sum::<u64>();
    let shown: Vec<(&str, u64)> = run
        .classes
        .iter()
        .zip(&evaluation.confusion)
        .map(|(class, row)| (class.name.as_str(), counts(row)))
        .filter(|(_, pixels)| *pixels > 0)
        .collect();
    let [(name, pixels)] = shown[..] else { return Finding::Fine };
    Finding::Warning(Warning {
        title: format!("Only one class counts in the validation data: {}", names([name])),
        evidence: format!("All {} pixels that count are “{name}”.", count(pixels)),
        advice: "A network that gives this class everywhere has an IoU of 1, so the scores say nothing. Name the rest \
                 as a class too, and say in data.labels what it is in the masks (app data check)."
            .into(),
    })
}

/// Checks that each class occurs in the validation targets: the score of an absent class is undefined and excluded from
/// the mean.
///
/// Threshold: no pixel in the evaluation's targets; without an evaluation, no IoU in the last validation.
pub fn absent_classes(run: &Run) -> Finding {
    let absent: Vec<&str> = match (&run.evaluation, last(run)) {
        (Some(evaluation), _) => {
            let rows = run.classes.iter().zip(&evaluation.confusion);
            rows.filter(|(_, row)| row.iter().all(|pixels| *pixels == 0))
                .map(|(class, _)| class.name.as_str())
                .collect()
        }
        (None, Some(line)) => {
            let missing = |class: &&crate::Class| line.scalars.get(&format!("iou/{}", class.name)) == Some(&None);
            run.classes.iter().filter(missing).map(|class| class.name.as_str()).collect()
        }
        (None, None) => return Finding::Unknown("no validation".into()),
    };
    warn((!absent.is_empty()).then(|| Warning {
        title: format!("Classes missing from the validation data: {}", names(absent.iter().copied())),
        evidence: format!("{} of {} classes have no pixel in the validation targets.", absent.len(), run.classes.len()),
        advice: "Their scores are left out of the means, so means of runs with other validation data cannot be compared. \
                 Split the data so that every class is in both parts, or leave the class out."
            .into(),
    }))
}

/// Checks that most pixels of the validation targets count.
///
/// Threshold: at least half of the pixels are ignored.
pub fn ignored_pixels(run: &Run) -> Finding {
    let Some(evaluation) = &run.evaluation else { return Finding::Unknown("no evaluation".into()) };
    let valid: u64 = evaluation.confusion.iter().flatten().sum();
    let share = ratio(evaluation.ignored, valid + evaluation.ignored);
    warn(share.filter(|share| *share >= 0.5).map(|share| {
        Warning {
            title: "Most validation pixels are ignored".into(),
            evidence: format!(
                "{} of {} pixels ({}) count neither for the loss nor for a score.",
                count(evaluation.ignored),
                count(valid + evaluation.ignored),
                percent(share)
            ),
            advice:
                "If that is not intended: look at the table of labels (data.labels) and at the masks (app data check)."
                    .into(),
        }
    }))
}

fn last(run: &Run) -> Option<&Line> {
    run.history.of(Stage::Validation).next_back()
}
