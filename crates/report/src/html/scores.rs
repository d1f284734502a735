//! Confusion matrix, scores of each class, and calibration.

use super::cell::{color, number, percent};
use crate::scores::{accuracy, calibration_error, class_scores, mean_iou, ratio};
use crate::{Bin, ClassScores, Evaluation, Interval, Intervals, Report, Run, text};
use maud::{Markup, html};

/// Maximum number of classes for which the cells of the matrix have numbers; with more, they have colours only.
const LEGIBLE: usize = 12;

pub(super) fn scores(report: &Report) -> Markup {
    let run = &report.run;
    let Some(evaluation) = &run.evaluation else {
        return html! { p.note { "No checkpoint was evaluated for this report." } };
    };
    let (scores, intervals) = (class_scores(&evaluation.confusion), &evaluation.intervals);
    html! {
        p.sentence {
            "Checkpoint " strong { (evaluation.checkpoint) } " of epoch " (evaluation.epoch) " on the validation data: accuracy "
            (number(accuracy(&evaluation.confusion))) (within(intervals.accuracy))
            ", mean IoU " (number(mean_iou(&scores))) (within(intervals.mean_iou)) "."
            @if intervals.mean_iou.is_some() {
                " In brackets: intervals of 95 %, by bootstrap over " (text::count(intervals.images)) " images."
            }
            @if evaluation.ignored > 0 { " Ignored: " (text::count(evaluation.ignored)) " pixels." }
        }
        div.beside {
            (classes(report, &scores, intervals))
            (matrix(run, evaluation))
            (calibration(&evaluation.calibration))
        }
    }
}

/// Returns an interval in brackets, or nothing.
fn within(interval: Option<Interval>) -> String {
    interval.map_or_else(String::new, |Interval { low, high }| format!(" ({low:.4} to {high:.4})"))
}

/// Returns a table of the classes, sortable by each column.
fn classes(report: &Report, scores: &[ClassScores], intervals: &Intervals) -> Markup {
    let others: Vec<(usize, &Run, Vec<ClassScores>)> = report
        .runs()
        .enumerate()
        .skip(1)
        .filter_map(|(index, run)| Some((index, run, class_scores(&run.evaluation.as_ref()?.confusion))))
        .collect();
    let pixels: u64 = scores.iter().map(|class| class.support).sum();
    let score = |value: Option<f64>| {
        html! { td.n data-value=(value.map_or_else(String::new, |value| value.to_string())) { (number(value)) } }
    };
    let score_within = |value: Option<f64>, interval: Option<&Option<Interval>>| {
        let interval = within(interval.copied().flatten());
        html! {
            td.n data-value=(value.map_or_else(String::new, |value| value.to_string())) {
                (number(value)) small { (interval) }
            }
        }
    };
    let heading = |name: &str| html! { th.n scope="col" { button type="button" { (name) } } };
    html! {
        figure.classes {
            figcaption { "Classes" }
            div.scroll { table.sortable {
                thead { tr {
                    th scope="col" { button type="button" { "Class" } }
                    @for name in ["IoU", "Dice", "Precision", "Recall"] { (heading(name)) }
                    @for (index, run, _) in &others {
                        th.n scope="col" { button type="button" { i.swatch style=(color(*index)) {} "IoU, " (run.name) } }
                    }
                    (heading("Pixels")) (heading("Share"))
                } }
                tbody { @for (id, (class, of)) in report.run.classes.iter().zip(scores).enumerate() {
                    tr {
                        th scope="row" data-value=(class.name) { (swatch(class.color)) (class.name) }
                        (score_within(of.iou, intervals.iou.get(id)))
                        (score_within(of.dice, intervals.dice.get(id)))
                        (score(of.precision)) (score(of.recall))
                        @for (_, run, scores) in &others {
                            @let place = run.classes.iter().position(|other| other.name == class.name);
                            (score(place.and_then(|place| scores.get(place)?.iou)))
                        }
                        td.n data-value=(of.support) { (text::count(of.support)) }
                        td.n data-value=(of.support) { (percent(ratio(of.support, pixels))) }
                    }
                } }
            } }
        }
    }
}

/// Returns a swatch of the colour of a class.
pub(super) fn swatch([red, green, blue]: [u8; 3]) -> Markup {
    html! { i.swatch style=(format!("--color: rgb({red} {green} {blue})")) {} }
}

/// Returns the confusion matrix. Rows are the targets and add up to one: a row shows how a class was predicted.
fn matrix(run: &Run, evaluation: &Evaluation) -> Markup {
    let dense = run.classes.len() > LEGIBLE;
    html! {
        figure.matrix {
            figcaption {
                "Confusion"
                @if !dense {
                    fieldset.switch {
                        legend.hidden { "What the cells show" }
                        label { input type="radio" name="cells" value="share" checked; "percent of the row" }
                        label { input type="radio" name="cells" value="count"; "pixels" }
                    }
                }
            }
            div.scroll { table.confusion.dense[dense] {
                thead {
                    tr { td.corner {} th.axis colspan=(run.classes.len()) { "predicted" } }
                    tr { th.axis scope="col" { "target" } @for class in &run.classes { th scope="col" title=(class.name) { span { (class.name) } } } }
                }
                tbody { @for (class, row) in run.classes.iter().zip(&evaluation.confusion) {
                    @let whole: u64 = row.iter().sum();
                    tr {
                        th scope="row" title=(class.name) { (class.name) }
                        @for (other, pixels) in run.classes.iter().zip(row) {
                            @let share = ratio(*pixels, whole);
                            @let strong = share.is_some_and(|share| share > 0.55);
                            td.strong[strong] tabindex=[(!dense).then_some("0")]
                                style=(format!("--share: {:.3}", share.unwrap_or(0.0)))
                                data-share=(percent(share)) data-count=(text::count(*pixels))
                                title={ "target " (class.name) ", predicted " (other.name) ": " (text::count(*pixels)) " pixels, " (percent(share)) " of " (class.name) }
                            { @if !dense { (percent(share)) } }
                        }
                    }
                } }
            } }
            p.readout aria-live="polite" { "Point at a cell." }
        }
    }
}

/// Side of the diagram in its own units.
const SIDE: f64 = 200.0;

/// Returns the reliability diagram: the share of correct pixels in each bin of confidence, against the diagonal.
fn calibration(bins: &[Bin]) -> Markup {
    let pixels: u64 = bins.iter().map(|bin| bin.count).sum();
    let Some(error) = calibration_error(bins) else {
        return html! { figure.calibration { figcaption { "Calibration" } p.note { "No confidences were recorded." } } };
    };
    let confident: f64 = bins.iter().map(|bin| bin.confidence_sum).sum::<f64>() / pixels as f64;
    let right = ratio(bins.iter().map(|bin| bin.correct).sum(), pixels);
    let width = SIDE / bins.len() as f64;
    let most = bins.iter().map(|bin| bin.count).max().unwrap_or(1) as f64;
    html! {
        figure.calibration {
            figcaption { "Calibration" }
            svg viewBox="-34 -6 242 274" role="img" aria-label=(format!("Reliability diagram; expected calibration error {}", text::number(error))) {
                @for tick in [0.0, 0.25, 0.5, 0.75, 1.0] {
                    @let at = SIDE * (1.0 - tick);
                    line.grid x1="0" x2=(SIDE) y1=(at) y2=(at) {}
                    text x="-5" y=(at + 3.5) text-anchor="end" { (tick) }
                    text x=(SIDE * tick) y=(SIDE + 46.0) text-anchor="middle" { (tick) }
                }
                @for (index, bin) in bins.iter().enumerate() { @if let Some(share) = ratio(bin.correct, bin.count) {
                    @let (x, y) = (index as f64 * width, SIDE * (1.0 - share));
                    @let confidence = bin.confidence_sum / bin.count as f64;
                    g {
                        title {
                            "confidence " (percent(Some(confidence))) ", right " (percent(Some(share))) ", "
                            (text::count(bin.count)) " pixels"
                        }
                        rect.right x=(x + 0.5) y=(y) width=(width - 1.0) height=(SIDE - y) {}
                        @let ideal = SIDE * (1.0 - confidence);
                        rect.gap x=(x + 0.5) y=(y.min(ideal)) width=(width - 1.0) height=((y - ideal).abs()) {}
                        rect.many x=(x + 0.5) y=(SIDE + 6.0) width=(width - 1.0) height=((26.0 * bin.count as f64 / most).max(0.5)) {}
                    }
                } }
                line.ideal x1="0" y1=(SIDE) x2=(SIDE) y2="0" {}
                text x="4" y="12" { "share that is right" }
                text x=(SIDE / 2.0) y=(SIDE + 60.0) text-anchor="middle" { "confidence (below the bars: pixels)" }
            }
            p {
                "Expected calibration error " strong { (number(Some(error))) } ": on average " (percent(Some(confident)))
                " sure and " (percent(right)) " right. Counted on " (text::count(pixels)) " pixels."
            }
        }
    }
}
