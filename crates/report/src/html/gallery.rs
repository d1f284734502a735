//! Gallery of the best and the worst predictions.

use super::cell::{number, percent};
use super::scores::swatch;
use crate::{Error, Evaluation, IGNORED, Run, Sample, picture, scores};
use maud::{Markup, html};
use serde::Serialize;

/// Masks of a sample, as the script expects them.
#[derive(Serialize)]
pub(super) struct Masks {
    width: usize,
    height: usize,
    target: String,
    prediction: String,
}

pub(super) fn masks(sample: &Sample) -> Masks {
    let (target, prediction) = (picture::runs(&sample.target), picture::runs(&sample.prediction));
    Masks { width: sample.input.width, height: sample.input.height, target, prediction }
}

pub(super) fn gallery(run: &Run) -> Result<Markup, Error> {
    let samples = run.evaluation.as_ref().filter(|evaluation| evaluation.samples().next().is_some());
    let Some(Evaluation { best, worst, .. }) = samples else {
        return Ok(html! { p.note { "No predictions were made for this report." } });
    };
    Ok(html! {
        div.tools #gallery-tools {
            fieldset {
                legend { "Fill" }
                @for (value, name) in [("none", "nothing"), ("target", "target"), ("prediction", "prediction"), ("errors", "errors")] {
                    label { input type="radio" name="fill" value=(value) checked[value == "prediction"]; (name) }
                }
            }
            label { input type="checkbox" id="show-input" checked; "input" }
            label { input type="checkbox" id="show-outline" checked; "outline of the target" }
            label { "Opacity " input type="range" id="opacity" min="0" max="1" step="0.05" value="0.5"; output for="opacity" { "0.5" } }
        }
        ul.legend {
            @for class in &run.classes { li { (swatch(class.color)) (class.name) } }
            li { i.swatch.wrong {} "error" }
            li { i.swatch.ignored {} "ignored" }
        }
        (row("Worst", worst, best.len())?)
        (row("Best", best, 0)?)
    })
}

/// Returns a row of samples. `first` is the index of the first one among the page's masks, where the best samples come
/// first.
fn row(title: &str, samples: &[Sample], first: usize) -> Result<Markup, Error> {
    if samples.is_empty() {
        return Ok(html! {});
    }
    let mut figures = Vec::new();
    for (index, sample) in samples.iter().enumerate() {
        let address = picture::address(&sample.name, &sample.input)?;
        figures.push(html! {
            figure.sample {
                button.stack type="button" aria-expanded="false" aria-label={ "Enlarge " (sample.name) }
                    style=(format!("aspect-ratio: {} / {}", sample.input.width, sample.input.height))
                {
                    img src=(address) alt={ "The input of " (sample.name) };
                    canvas data-sample=(first + index) width=(sample.input.width) height=(sample.input.height) {}
                }
                figcaption {
                    span.name title=(sample.name) { (sample.name) }
                    span.n { (number(Some(sample.score).filter(|score| score.is_finite()))) }
                    small { (percent(wrong(sample))) " of the pixels wrong" }
                    small.readout {}
                }
            }
        });
    }
    Ok(html! { h3 { (title) } div.gallery { @for figure in figures { (figure) } } })
}

/// Returns the share of valid pixels that are predicted wrongly.
fn wrong(sample: &Sample) -> Option<f64> {
    let pairs = || sample.target.iter().zip(&sample.prediction).filter(|(target, _)| **target != IGNORED);
    let wrong = pairs().filter(|(target, prediction)| target != prediction).count();
    scores::ratio(wrong as u64, pairs().count() as u64)
}
