//! Curves: the scalars of each chart, and their points in the form that the page's script expects.

use crate::{Best, History, Line, Report, Run, Stage, decimate};
use serde::Serialize;

/// Maximum number of points of a curve. A chart is about 700 pixels wide.
const POINTS: usize = 2000;
/// Number of classes visible at first if there are more: those with the lowest IoU.
const CLASSES: usize = 8;

/// Charts that the script draws.
#[derive(Debug, Serialize)]
pub(crate) struct Charts {
    /// True if the run logged single steps; then steps are the default of the horizontal axis.
    pub steps: bool,
    pub charts: Vec<Chart>,
    pub best: Option<Mark>,
    /// Titles of charts that have no points in any run.
    #[serde(skip)]
    pub missing: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Mark {
    pub epoch: u64,
    pub step: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Chart {
    pub id: String,
    pub title: String,
    /// Enables the choice of a logarithmic axis.
    pub log: bool,
    /// Enables the mark of the best epoch.
    pub marked: bool,
    pub series: Vec<Series>,
}

/// Curve. Each point is one element of `y`, at an epoch and a step.
#[derive(Debug, Serialize)]
pub(crate) struct Series {
    pub label: String,
    /// Index into the page's colours.
    pub color: usize,
    /// 0 for a solid line; from 1 on, a dash pattern.
    pub dash: usize,
    /// True for single steps: many points, drawn thin.
    pub thin: bool,
    /// Hidden until the user switches it on.
    pub hidden: bool,
    pub epoch: Vec<f64>,
    pub step: Vec<u64>,
    /// Values; `None` if not finite.
    pub y: Vec<Option<f64>>,
}

/// Identifier, title, scalar, logarithmic axis offered, best epoch marked, stages.
type Kind = (&'static str, &'static str, &'static str, bool, bool, &'static [Stage]);

const ALL: &[Stage] = &[Stage::Step, Stage::Train, Stage::Validation];
const TRAINING: &[Stage] = &[Stage::Step, Stage::Train];

const KINDS: [Kind; 8] = [
    ("loss", "Loss", "loss", true, true, ALL),
    ("mean_iou", "Mean IoU", "mean_iou", false, true, ALL),
    ("accuracy", "Accuracy", "accuracy", false, true, ALL),
    ("mean_dice", "Mean Dice", "mean_dice", false, true, ALL),
    ("learning_rate", "Learning rate", "learning_rate", true, false, TRAINING),
    ("gradient_norm", "Gradient norm", "gradient_norm", true, false, TRAINING),
    ("throughput", "Images per second", "images_per_second", false, false, TRAINING),
    ("memory", "Memory (MB)", "memory_mb", false, false, TRAINING),
];

/// Scores of segmentation. A run of another task lacks them all, and they are then not called missing.
const SEGMENTATION: [&str; 4] = ["Mean IoU", "Accuracy", "Mean Dice", "IoU by class"];

/// Scores of segmentation without a chart: their curves resemble those of the others.
const WITHOUT: [&str; 4] = ["mean_precision", "mean_recall", "fw_iou", "kappa"];

/// Returns all charts that have points, in display order.
pub(crate) fn charts(report: &Report) -> Charts {
    let (mut charts, mut missing) = (Vec::new(), Vec::new());
    let others = other_scores(report);
    for (id, title, scalar, log, marked, stages) in KINDS {
        let series = of_scalar(report, stages, scalar);
        if series.is_empty() {
            missing.push(title);
        } else {
            charts.push(Chart { id: id.into(), title: title.into(), log, marked, series });
        }
        if id == "loss" {
            charts.extend(others.iter().map(|name| Chart {
                id: name.clone(),
                title: words(name),
                log: true,
                marked: true,
                series: of_scalar(report, ALL, name),
            }));
        }
        if id == "accuracy" {
            let (id, title, series) = ("class_iou", "IoU by class", of_classes(report));
            if series.is_empty() {
                missing.push(title);
            } else {
                charts.push(Chart { id: id.into(), title: title.into(), log: false, marked: true, series });
            }
        }
    }
    let is_other_task = !others.is_empty() && SEGMENTATION.iter().all(|title| missing.contains(title));
    missing.retain(|title| !is_other_task || !SEGMENTATION.contains(title));
    let best = report.run.best().map(|Best { epoch, step, .. }| Mark { epoch, step });
    Charts { steps: report.run.history.of(Stage::Step).next().is_some(), charts, best, missing }
}

/// Returns the curves of a scalar, of all runs and stages that have it.
fn of_scalar(report: &Report, stages: &[Stage], scalar: &str) -> Vec<Series> {
    let runs = report.runs().enumerate();
    let all = runs.flat_map(|(index, run)| stages.iter().map(move |stage| (index, run, *stage)));
    all.filter_map(|(index, run, stage)| of_stage(report, index, run, stage, scalar)).collect()
}

/// Returns the names of the validation's scores that are none of segmentation: those of another metric.
fn other_scores(report: &Report) -> Vec<String> {
    let lines = report.runs().flat_map(|run| run.history.of(Stage::Validation));
    let mut names: Vec<String> = lines.flat_map(|line| line.scalars.keys().cloned()).collect();
    names.sort();
    names.dedup();
    let charted = |name: &str| KINDS.iter().any(|(_, _, scalar, ..)| *scalar == name);
    let known = |name: &str| name == "pixels" || WITHOUT.contains(&name) || charted(name);
    names.retain(|name| !name.contains('/') && !known(name));
    names
}

/// Returns a score's name as a title: `mean_absolute_error` is `Mean absolute error`.
fn words(name: &str) -> String {
    let words = name.replace('_', " ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Returns the curve of one stage of one run. A single run has a colour per stage; with several runs, each has one
/// colour.
fn of_stage(report: &Report, index: usize, run: &Run, stage: Stage, scalar: &str) -> Option<Series> {
    let words = match stage {
        Stage::Step => "each step",
        other => other.name(),
    };
    let alone = report.compare.is_empty();
    let label = if alone { words.to_string() } else { format!("{} · {words}", run.name) };
    let color = if alone { usize::from(stage != Stage::Validation) } else { index };
    let points = points(&run.history, stage, scalar)?;
    Some(Series { label, color, dash: usize::from(stage == Stage::Train), thin: stage == Stage::Step, ..points })
}

/// Returns the validation IoU of each class, with a colour per class, and dashes for each run but the first. Other runs
/// are hidden at first, to avoid clutter.
fn of_classes(report: &Report) -> Vec<Series> {
    let last = report.run.history.of(Stage::Validation).next_back();
    let score = |name: &str| last.and_then(|line| line.get(&format!("iou/{name}"))).unwrap_or(f64::INFINITY);
    let mut lowest: Vec<&str> = report.run.classes.iter().map(|class| class.name.as_str()).collect();
    lowest.sort_by(|a, b| score(a).total_cmp(&score(b)));
    lowest.truncate(CLASSES);
    let series = report.runs().enumerate().flat_map(|(index, run)| {
        let lowest = &lowest;
        report.run.classes.iter().enumerate().filter_map(move |(color, class)| {
            let points = points(&run.history, Stage::Validation, &format!("iou/{}", class.name))?;
            let label = if index == 0 { class.name.clone() } else { format!("{} · {}", run.name, class.name) };
            let hidden = index > 0 || !lowest.contains(&class.name.as_str());
            Some(Series { label, color, dash: index, hidden, ..points })
        })
    });
    series.collect()
}

/// Returns the points of one scalar; `None` if it is never finite.
fn points(history: &History, stage: Stage, scalar: &str) -> Option<Series> {
    let lines: Vec<(&Line, Option<f64>)> =
        history.of(stage).filter_map(|line| Some((line, *line.scalars.get(scalar)?))).collect();
    let values: Vec<Option<f64>> = lines.iter().map(|(_, value)| *value).collect();
    values.iter().flatten().next()?;
    let ends = ends(history);
    let mut series = Series {
        label: String::new(),
        color: 0,
        dash: 0,
        thin: false,
        hidden: false,
        epoch: Vec::new(),
        step: Vec::new(),
        y: Vec::new(),
    };
    for place in decimate::places(&values, POINTS) {
        let (line, value) = lines[place];
        let epoch = if stage == Stage::Step { within(&ends, line.step) } else { line.epoch as f64 };
        series.epoch.push(epoch);
        series.step.push(line.step);
        series.y.push(value);
    }
    Some(series)
}

/// Returns epoch and step of the end of each epoch, beginning with (0, 0).
fn ends(history: &History) -> Vec<(u64, u64)> {
    let mut ends = vec![(0, 0)];
    ends.extend(history.of(Stage::Train).map(|line| (line.epoch, line.step)));
    ends
}

/// Converts a step to fractional epochs. Steps after the last end are extrapolated with the length of the last epoch;
/// before the first end there is no length to use, and all steps map to the start of the first epoch.
fn within(ends: &[(u64, u64)], step: u64) -> f64 {
    let after = ends.partition_point(|(_, end)| *end < step).clamp(1, (ends.len() - 1).max(1));
    let (Some((before, from)), Some((epoch, to))) = (ends.get(after - 1), ends.get(after)) else { return 0.0 };
    let share = (step as f64 - *from as f64) / (to.saturating_sub(*from)).max(1) as f64;
    *before as f64 + share * epoch.saturating_sub(*before) as f64
}

#[cfg(test)]
mod tests;
