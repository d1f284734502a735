//! Collects confidence statistics and example predictions in the same validation pass as the scores.

use crate::common::images::Images;
use crate::common::network::Network;
use crate::common::paint;
use anyhow::{Context, Result};
use checkpoint::Mode;
use contract::{
    Batch, BoxError, Metric, Outputs, Progress, Ranks, Scores, StateDict, StateError, Stateful, TorchError,
};
use data::Loader;
use image::{GrayImage, RgbImage};
use metric::{Confusion, Detail, Gallery, Predicted, Segmentation};
use std::num::NonZeroU16;
use tch::Tensor;

/// Confidence statistics take every STRIDE-th row and column of pixels, a quarter of all pixels.
const STRIDE: NonZeroU16 = NonZeroU16::new(2).unwrap();

/// Confidence statistics and example predictions of one validation.
pub struct Details {
    /// Confidence statistics.
    pub detail: Detail,
    /// Predictions for the first, the worst and the best samples.
    pub gallery: Gallery,
}

impl Details {
    /// Creates an empty look that keeps `first` first samples, and `extremes` of the worst and of the best.
    pub fn new(network: &Network, first: usize, extremes: usize) -> Result<Self, TorchError> {
        let detail = Detail::new(network.classes.len(), STRIDE, network.device)?;
        Ok(Self { detail, gallery: Gallery::new(first, extremes) })
    }

    /// Becomes the look of all ranks together, which call it at once.
    pub fn merge(&mut self, ranks: &dyn Ranks) -> Result<(), BoxError> {
        let mut own = self.detail.state();
        own.extend(self.gallery.state()?);
        let all = ranks.gather(&own)?;
        self.detail.merge(&all)?;
        self.gallery.merge(&all)
    }
}

/// Metric that updates scores, a look and the scores of single images in one pass.
pub struct Closer<'a> {
    /// Scores, which alone are the metric's result and state.
    pub scores: &'a mut Segmentation,
    /// Look at the network; None if not wanted.
    pub look: Option<&'a mut Details>,
    /// Scores of single images; None if not wanted.
    pub images: Option<&'a mut Images>,
}

impl Metric for Closer<'_> {
    fn reset(&mut self) {
        self.scores.reset();
    }

    fn update(&mut self, loss: &Tensor, outputs: &Outputs, batch: &Batch) -> Result<(), BoxError> {
        let (outputs, targets) = (&outputs.prediction, &batch.targets);
        let counted = self.scores.count(loss, outputs, targets)?;
        if let Some(images) = self.images.as_deref_mut() {
            images.update(batch, &counted)?;
        }
        let Some(Details { detail, gallery }) = self.look.as_deref_mut() else { return Ok(()) };
        detail.update(outputs, targets, &counted)?;
        gallery.update(&counted)
    }

    fn compute(&self) -> Result<Scores, BoxError> {
        self.scores.compute()
    }

    fn columns(&self) -> Result<Vec<String>, BoxError> {
        self.scores.columns()
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

/// Look at the network that scored best so far.
pub struct Best {
    /// Progress of training at this validation.
    pub at: Progress,
    /// Confusion matrix of the validation.
    pub confusion: Confusion,
    /// Confidence statistics and examples.
    pub look: Details,
    score: f64,
}

impl Best {
    /// Keeps the better of two looks, as for the best checkpoint: ties keep the earlier, and a NaN score is never kept.
    pub fn of(
        before: Option<Self>,
        mode: Mode,
        score: f64,
        at: Progress,
        (confusion, look): (Confusion, Details),
    ) -> Option<Self> {
        let better = before.as_ref().is_none_or(|best| mode.prefers(score, best.score));
        if better && !score.is_nan() { Some(Self { at, confusion, look, score }) } else { before }
    }
}

/// A sample with its image, target and prediction.
pub struct Shown {
    /// The sample's name.
    pub name: String,
    /// Network input.
    pub photograph: RgbImage,
    /// Class ids of the mask.
    pub target: GrayImage,
    /// Predicted class ids.
    pub prediction: GrayImage,
}

/// Reloads the validation samples of these predictions.
pub fn show(input: &Loader, config: &data::Config, predicted: &[Predicted]) -> Result<Vec<Shown>> {
    let shown = |predicted: &Predicted| {
        let sample = input.sample(predicted.batch, predicted.at)?.context("a sample is not where it was")?;
        Ok(Shown {
            name: sample.names.concat(),
            photograph: paint::photographs(config, &sample.inputs)?.pop().context("a sample without an image")?,
            target: paint::class_map(&sample.targets.f_squeeze_dim(0)?)?,
            prediction: paint::class_map(&predicted.classes)?,
        })
    };
    predicted.iter().map(shown).collect()
}
