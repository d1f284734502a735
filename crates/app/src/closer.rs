//! A closer look at a network on validation data: in the same pass as its scores, how sure it is and what it makes of which samples.

use crate::paint;
use crate::parts::Network;
use anyhow::{Context, Result};
use checkpoint::Mode;
use contract::{Batch, BoxError, Metric, Outputs, Progress, Scores, StateDict, StateError, Stateful, TorchError};
use data::Loader;
use image::{GrayImage, RgbImage};
use metric::{Confusion, Detail, Gallery, Predicted, Segmentation};
use std::num::NonZeroU16;
use tch::Tensor;

/// How sure a network is, is counted on every so manyth row and column of pixels, which is a quarter of them.
const STRIDE: NonZeroU16 = NonZeroU16::new(2).unwrap();

/// What is looked at besides the scores.
pub struct Look {
    /// How sure the network is.
    pub detail: Detail,
    /// What it makes of the first samples, of the worst and of the best.
    pub gallery: Gallery,
}

impl Look {
    /// An empty one, for so many of the first samples, and of the worst and of the best.
    pub fn new(network: &Network, first: usize, extremes: usize) -> Result<Self, TorchError> {
        let detail = Detail::new(network.classes.len(), STRIDE, network.device)?;
        Ok(Self { detail, gallery: Gallery::new(first, extremes) })
    }
}

/// Scores and a look in one pass.
pub struct Closer<'a> {
    /// What counts.
    pub scores: &'a mut Segmentation,
    /// What is looked at besides; nothing where that is not wanted.
    pub look: Option<&'a mut Look>,
}

impl Metric for Closer<'_> {
    fn reset(&mut self) {
        self.scores.reset();
    }

    fn update(&mut self, loss: &Tensor, outputs: &Outputs, batch: &Batch) -> Result<(), BoxError> {
        let (outputs, targets) = (&outputs.prediction, &batch.targets);
        let counted = self.scores.count(loss, outputs, targets)?;
        let Some(Look { detail, gallery }) = self.look.as_deref_mut() else { return Ok(()) };
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

/// The look at the network that scored best so far.
pub struct Best {
    /// Where training stood.
    pub at: Progress,
    /// The scores' matrix.
    pub confusion: Confusion,
    /// The look.
    pub look: Look,
    score: f64,
}

impl Best {
    /// This look, or the one before, as it is with the best checkpoint: of equal scores the earlier, and none that is NaN.
    pub fn of(
        before: Option<Self>,
        mode: Mode,
        score: f64,
        at: Progress,
        (confusion, look): (Confusion, Look),
    ) -> Option<Self> {
        let better = before.as_ref().is_none_or(|best| mode.prefers(score, best.score));
        if better && !score.is_nan() { Some(Self { at, confusion, look, score }) } else { before }
    }
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

/// Loads the samples of these predictions of the validation data, once more.
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
