//! A closer look at a network on validation data: in the same pass as its scores, how sure it is and which samples it is worst at.

use crate::paint;
use anyhow::{Context, Result};
use contract::{Batch, BoxError, Metric, Scores, StateDict, StateError, Stateful};
use data::Loader;
use image::{GrayImage, RgbImage};
use metric::{Detail, Segmentation};
use tch::Tensor;
use tch::nn::ModuleT;

/// Scores and detail of one pass.
pub struct Closer<'a> {
    /// What counts.
    pub scores: &'a mut Segmentation,
    /// What is looked at besides; nothing where that is not wanted.
    pub detail: Option<&'a mut Detail>,
}

impl Metric for Closer<'_> {
    fn reset(&mut self) {
        self.scores.reset();
    }

    fn update(&mut self, loss: &Tensor, outputs: &Tensor, targets: &Tensor) -> Result<(), BoxError> {
        self.scores.update(loss, outputs, targets)?;
        self.detail.as_mut().map_or(Ok(()), |detail| detail.update(outputs, targets))
    }

    fn compute(&self) -> Result<Scores, BoxError> {
        self.scores.compute()
    }
}

impl Stateful for Closer<'_> {
    fn state(&self) -> StateDict {
        self.scores.state()
    }

    fn load_state(&mut self, state: &StateDict) -> Result<(), StateError> {
        self.scores.load_state(state)
    }
}

/// Where a sample is in a validation: its batch and its place in it; and its score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// The batch.
    pub batch: u64,
    /// The place in it.
    pub at: usize,
    /// Its mean IoU; NaN where nothing of it counts.
    pub score: f64,
}

/// The samples of a validation in its order, those that could not be loaded left out.
pub fn places(detail: &Detail) -> Result<Vec<Place>> {
    let batches = detail.sample_scores()?;
    let all = (0..)
        .zip(&batches)
        .flat_map(|(batch, scores)| {
            scores.iter().enumerate().map(move |(at, score)| Place { batch, at, score: *score })
        })
        .collect();
    Ok(all)
}

/// The same from the worst to the best. Those of which nothing counts are left out.
pub fn ranked(mut places: Vec<Place>) -> Vec<Place> {
    places.retain(|place| !place.score.is_nan());
    places.sort_by(|a, b| a.score.total_cmp(&b.score));
    places
}

/// A sample as the network sees it, what it should make of it, and what it makes.
pub struct Shown {
    /// The sample's name.
    pub name: String,
    /// What goes into the network.
    pub photograph: RgbImage,
    /// The classes that it should give.
    pub target: GrayImage,
    /// The classes that it gives.
    pub prediction: GrayImage,
}

/// Predicts the samples at these places of the validation data, once more.
pub fn show(model: &dyn ModuleT, input: &Loader, config: &data::Config, places: &[Place]) -> Result<Vec<Shown>> {
    let _no_grad = tch::no_grad_guard();
    let sample = |place: &Place| input.sample(place.batch, place.at as u64)?.context("a sample is not where it was");
    let samples: Vec<Batch> = places.iter().map(sample).collect::<Result<_>>()?;
    if samples.is_empty() {
        return Ok(Vec::new());
    }
    let all = |part: fn(&Batch) -> &Tensor| Tensor::f_cat(&samples.iter().map(part).collect::<Vec<_>>(), 0);
    let (inputs, targets) = (all(|sample| &sample.inputs)?, all(|sample| &sample.targets)?);
    let outputs = contract::caught(|| model.forward_t(&inputs, false)).map_err(anyhow::Error::msg)?;
    let predictions = outputs.f_argmax(1, false)?;
    let photographs = paint::photographs(config, &inputs)?.into_iter();
    let maps = targets.f_unbind(0)?.into_iter().zip(predictions.f_unbind(0)?);
    let names = samples.into_iter().flat_map(|sample| sample.names);
    let shown = photographs.zip(maps).zip(names).map(|((photograph, (target, prediction)), name)| {
        let [target, prediction] = [target, prediction].map(|classes| paint::class_map(&classes));
        Ok(Shown { name, photograph, target: target?, prediction: prediction? })
    });
    shown.collect()
}
