//! Head of the page: identity and results of the run.

use super::cell::{NONE, color, number};
use crate::{Report, Run, Stage, Status, text};
use maud::{Markup, html};

const LINKS: [(&str, &str); 6] = [
    ("warnings", "Warnings"),
    ("curves", "Curves"),
    ("scores", "Scores"),
    ("predictions", "Predictions"),
    ("time", "Time"),
    ("configuration", "Configuration"),
];

pub(super) fn head(report: &Report) -> Markup {
    let run = &report.run;
    html! {
        header {
            div.title {
                h1 { (run.name) }
                (status(run))
                button #theme type="button" aria-label="Switch between light and dark" title="Light or dark" { "◐" }
            }
            p.sentence { (run.sentence()) }
            p.folder { (run.folder.display().to_string()) }
            dl.facts { @for (name, value, more) in facts(run) { div { dt { (name) } dd { (value) small { (more) } } } } }
            @if !report.compare.is_empty() { (runs(report)) }
            @for other in &report.compare {
                @if let Some(comparison) = &other.comparison {
                    p.sentence { (comparison.sentence(&run.name, &other.name)) }
                }
            }
        }
        nav aria-label="Parts of this page" { @for (id, name) in LINKS { a href={ "#" (id) } { (name) } } }
    }
}

fn status(run: &Run) -> Markup {
    let (class, words) = match run.status {
        Status::Finished => ("finished", "finished"),
        Status::Running => ("running", "running"),
        Status::Stopped => ("stopped", "stopped early"),
    };
    html! { span class={ "status " (class) } { (words) } }
}

/// Returns name, value and remark of each fact.
fn facts(run: &Run) -> Vec<(String, String, String)> {
    let last = |stage| run.history.scores(stage, "loss").last().map(|(_, loss)| *loss);
    let (metric, _) = run.deciding();
    let (score, at) = match run.best() {
        Some(best) => (text::number(best.score), format!("at epoch {}", best.epoch)),
        None => (NONE.into(), String::new()),
    };
    let mut planned = run.planned().map_or_else(String::new, |planned| format!("of {}", text::count(planned)));
    if let Some(epochs) = run.history.stopped_early().and_then(|line| line.get(summary::STOPPED_EARLY)) {
        planned += &format!("; early stopping after {epochs} without an improvement");
    }
    let mut facts = vec![
        (format!("Best {}", metric.replace('_', " ").replace("iou", "IoU")), score, at),
        ("Epochs".into(), text::count(run.history.epochs()), planned),
        ("Steps".into(), text::count(run.history.steps()), String::new()),
        ("Last training loss".into(), number(last(Stage::Train)), String::new()),
        ("Last validation loss".into(), number(last(Stage::Validation)), String::new()),
    ];
    if let Some((seconds, timed)) = run.duration() {
        let how = if timed { "" } else { "first to last line" };
        facts.push(("Duration".into(), text::duration(seconds), how.into()));
    }
    facts
}

/// Returns a table of all runs, with the colours of their curves.
fn runs(report: &Report) -> Markup {
    html! {
        div.scroll {
            table.runs {
                caption { "Runs compared" }
                thead { tr {
                    th scope="col" { "Run" }
                    th scope="col" { "Status" }
                    th.n scope="col" { "Best" }
                    th scope="col" { "Score" }
                    th.n scope="col" { "Epoch" }
                    th.n scope="col" { "Epochs" }
                    th.n scope="col" { "Last loss" }
                    th.n scope="col" { "Last validation loss" }
                    th.n scope="col" { "Duration" }
                } }
                tbody { @for (index, run) in report.runs().enumerate() {
                    @let best = run.best();
                    @let last = |stage| run.history.scores(stage, "loss").last().map(|(_, loss)| *loss);
                    tr {
                        th scope="row" title=(run.folder.display().to_string()) { i.swatch style=(color(index)) {} (run.name) }
                        td { (status(run)) }
                        td.n { (number(best.as_ref().map(|best| best.score))) }
                        td { (run.deciding().0) }
                        td.n { (best.map_or_else(|| NONE.into(), |best| best.epoch.to_string())) }
                        td.n { (text::count(run.history.epochs())) }
                        td.n { (number(last(Stage::Train))) }
                        td.n { (number(last(Stage::Validation))) }
                        td.n { (run.duration().map_or_else(|| NONE.into(), |(seconds, _)| text::duration(seconds))) }
                    }
                } }
                @if let Some((mean, deviation)) = report.spread() {
                    tfoot { tr {
                        th scope="row" colspan="2" { "Mean and standard deviation of the folds" }
                        td.n { (number(Some(mean))) " ± " (number(Some(deviation))) }
                        td { (report.run.deciding().0) }
                        td colspan="5" {}
                    } }
                }
            }
        }
    }
}
