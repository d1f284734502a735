//! Frame of the page, and the numbers that its scripts draw.

mod advice;
mod budget;
mod cell;
mod config;
mod gallery;
mod head;
mod scores;
#[cfg(test)]
mod tests;

use crate::charts::{Charts, charts};
use crate::{Error, Report};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde::Serialize;

/// Content-Security-Policy: nothing is loaded, sent or framed, whatever text the page contains. Pictures are part of
/// the page.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                      base-uri 'none'; form-action 'none'";

/// Tag that marks a page of this crate.
pub(crate) const GENERATOR: &str = "<meta name=\"generator\" content=\"oxiseg\">";

const STYLES: [&str; 2] = [include_str!("page/page.css"), include_str!("page/parts.css")];

/// Scripts, concatenated in this order inside one function: each may use those before it.
const SCRIPTS: [&str; 7] = [
    include_str!("page/errors.js"),
    include_str!("page/scale.js"),
    include_str!("page/chart.js"),
    include_str!("page/pointer.js"),
    include_str!("page/gallery.js"),
    include_str!("page/tables.js"),
    include_str!("page/page.js"),
];

/// Numbers that the scripts draw.
#[derive(Serialize)]
struct Numbers<'a> {
    charts: &'a Charts,
    colors: Vec<[u8; 3]>,
    names: Vec<&'a str>,
    samples: Vec<gallery::Masks>,
}

/// Returns the whole page.
pub(crate) fn page(report: &Report) -> Result<String, Error> {
    let run = &report.run;
    let charts = charts(report);
    let numbers = Numbers {
        charts: &charts,
        colors: run.classes.iter().map(|class| class.color).collect(),
        names: run.classes.iter().map(|class| class.name.as_str()).collect(),
        samples: run.evaluation.iter().flat_map(|evaluation| evaluation.samples()).map(gallery::masks).collect(),
    };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                (PreEscaped(GENERATOR))
                title { (run.name) " · training report" }
                @for style in STYLES { style { (PreEscaped(style)) } }
            }
            body {
                (head::head(report))
                main {
                    (section("warnings", "Warnings", advice::warnings(run)))
                    (section("curves", "Curves", curves(&charts)))
                    (section("scores", "Scores by class", scores::scores(report)))
                    (section("predictions", "Predictions", gallery::gallery(run)?))
                    (section("time", "Time", budget::budget(report)))
                    (section("configuration", "Configuration", config::config(report)))
                }
                script type="application/json" id="numbers" { (PreEscaped(for_script(&numbers)?)) }
                script { (PreEscaped(format!("(() => {{\n\"use strict\";\n{}}})();", SCRIPTS.concat()))) }
            }
        }
    };
    Ok(page.into_string())
}

/// Returns a section of the page, which the links at the top lead to.
fn section(id: &str, title: &str, content: Markup) -> Markup {
    html! { section id=(id) aria-labelledby={ (id) "-title" } { h2 id={ (id) "-title" } { (title) } (content) } }
}

/// Returns the container of the curves, which the script fills.
fn curves(charts: &Charts) -> Markup {
    html! {
        @if charts.charts.is_empty() {
            p.note { "Nothing logged yet: there is a point after the first epoch." }
        } @else {
            div.tools {
                fieldset {
                    legend { "Horizontal axis" }
                    label { input type="radio" name="axis" value="epoch" checked[!charts.steps]; "epochs" }
                    label { input type="radio" name="axis" value="step" checked[charts.steps]; "steps" }
                }
                label { "Smoothing " input type="range" id="smoothing" min="0" max="0.98" step="0.02" value="0"; output for="smoothing" { "0" } }
                p.hint { "Drag to zoom, double-click to reset. With the keyboard: arrows move, + and − zoom, Escape resets." }
            }
            noscript { p.note { "The curves are drawn by a script, and scripts are off." } }
            div #charts {}
        }
        @if !charts.missing.is_empty() {
            p.note { "Not logged by this run: " (charts.missing.join(", ")) "." }
        }
    }
}

/// Returns JSON that is safe inside `<script>`: nothing in it ends the element or opens a comment.
fn for_script(numbers: &impl Serialize) -> Result<String, serde_json::Error> {
    let json = serde_json::to_string(numbers)?;
    // JSON has none of these characters outside strings, and inside strings the escape means the same.
    Ok(json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026"))
}
