//! Time budget: a stack for each epoch, and one bar for each whole run.

use super::cell::{color, percent};
use crate::budget::{OTHER, PARTS, Slice, epochs, grouped};
use crate::{Report, text};
use maud::{Markup, html};

/// Maximum number of stacks.
const STACKS: usize = 120;

pub(super) fn budget(report: &Report) -> Markup {
    let slices = epochs(&report.run.history);
    let sums: Vec<(&str, Slice)> =
        report.runs().filter_map(|run| Some((run.name.as_str(), Slice::sum(&epochs(&run.history))?))).collect();
    html! {
        @if slices.is_empty() {
            p.note {
                "This run did not write down what its epochs spent their time on (" code { "seconds/…" }
                " in metrics.jsonl): an older version trained it, or no epoch is done."
            }
        } @else {
            (stacks(&slices))
        }
        @if !sums.is_empty() {
            figure.budget {
                figcaption { "In all" }
                div.scroll { table {
                    thead { tr {
                        th scope="col" { "Run" } th.bar scope="col" { "Shares" }
                        @for (index, part) in parts() { th.n scope="col" { (dot(index)) (part) } }
                        th.n scope="col" { "Sum" }
                    } }
                    tbody { @for (name, sum) in &sums { tr {
                        th scope="row" { (name) }
                        td.bar { div.whole role="img" aria-label={ "Shares of the time of " (name) } { (segments(sum, sum.total(), "width")) } }
                        @for seconds in sum.seconds {
                            td.n title=(text::duration(seconds)) { (percent(share(seconds, sum.total()))) }
                        }
                        td.n { (text::duration(sum.total())) }
                    } } }
                } }
            }
        }
    }
}

fn stacks(slices: &[Slice]) -> Markup {
    let stacks = grouped(slices, STACKS);
    // Compare groups by the mean of their epochs: the last group may have fewer.
    let length = |slice: &Slice| (slice.epochs.1 - slice.epochs.0 + 1) as f64;
    let longest = stacks.iter().map(|slice| slice.total() / length(slice)).fold(0.0, f64::max);
    html! {
        figure.budget {
            figcaption { "Seconds of each epoch" small { "the tallest: " (text::duration(longest)) } }
            ul.legend { @for (index, part) in parts() { li { (dot(index)) (part) } } }
            div style=(format!("max-width: {}rem", stacks.len() * 3)) {
                div.stacks role="img" aria-label="Seconds of each epoch by what they were spent on" {
                    @for slice in &stacks {
                        div.stack-of title=(words(slice)) { (segments(slice, longest * length(slice), "height")) }
                    }
                }
                div.ends { span { "epoch " (slices[0].epochs.0) } span { (slices[slices.len() - 1].epochs.1) } }
            }
        }
    }
}

fn parts() -> impl Iterator<Item = (usize, &'static str)> {
    PARTS.into_iter().chain([OTHER]).enumerate()
}

fn dot(part: usize) -> Markup {
    html! { i.swatch style=(color(part)) {} }
}

fn segments(slice: &Slice, whole: f64, side: &str) -> Markup {
    html! {
        @for (part, name) in parts() { @if slice.seconds[part] > 0.0 {
            @let size = 100.0 * share(slice.seconds[part], whole).unwrap_or(0.0);
            i.part title={ (name) ": " (text::duration(slice.seconds[part])) }
                style=(format!("{}; {side}: {size:.3}%", color(part))) {}
        } }
    }
}

/// Describes a slice in words, for its tooltip.
fn words(slice: &Slice) -> String {
    let epochs = match slice.epochs {
        (first, last) if first == last => format!("epoch {first}"),
        (first, last) => format!("epochs {first} to {last}"),
    };
    let parts: Vec<String> = parts()
        .filter(|(part, _)| slice.seconds[*part] > 0.0)
        .map(|(part, name)| format!("{name} {}", text::duration(slice.seconds[part])))
        .collect();
    format!("{epochs}: {} ({})", text::duration(slice.total()), parts.join(", "))
}

fn share(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}
