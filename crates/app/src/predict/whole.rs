//! Predicts images that training brought to one size: in batches at that size, and back to their own.

use super::enlarge::Enlarger;
use super::find::{Picture, Pictures};
use super::rows;
use super::writer::{Image, Work, Writer};
use crate::report;
use anyhow::{Context, Result};
use data::{Images, Loader, LoaderConfig, Order, Passed, Split};
use executors::{Prediction, Predictor};
use std::sync::Arc;
use tch::nn::ModuleT;
use tch::{Device, Tensor};

/// A network that sees images whole, and its settings.
pub struct Whole<'a> {
    pub model: &'a dyn ModuleT,
    pub device: Device,
    pub data: &'a data::Config,
    pub images: Arc<Images>,
    pub with_probabilities: bool,
}

impl Whole<'_> {
    /// Predicts `pictures` and returns those that cannot be read. Calls `told` after each.
    pub fn predict(&self, pictures: &Pictures, writer: &Writer, mut told: impl FnMut()) -> Result<Vec<Passed>> {
        let data = self.data;
        let loader = LoaderConfig { max_skipped: pictures.len() as u64, ..data.loader().clone() };
        let pipeline = data.pipeline(Split::Validation);
        let input = Loader::new(self.images.clone(), pipeline, &loader, Order::Sequential, 0, self.device)?;
        for prediction in Predictor::new(self.model, &input).predict() {
            let Prediction { name, probabilities } = prediction?;
            for passed in input.skipped().fresh() {
                report::skipped(std::slice::from_ref(&passed));
                writer.send(Work::Broken(passed))?;
                told();
            }
            // A batch without a readable image holds a blank, which is no picture.
            let Some(picture) = pictures.get(&name) else { continue };
            self.write(&name, picture, &probabilities, writer)
                .with_context(|| format!("predicting {}", picture.file.display()))?;
            told();
        }
        Ok(input.skipped().all())
    }

    /// Sends `[K, H, W]` probabilities to the writer, at the image's size.
    fn write(&self, name: &str, picture: &Picture, probabilities: &Tensor, writer: &Writer) -> Result<()> {
        let part = self.images.rectangle(picture.size)?;
        writer.send(Work::Image(Image::of(name, picture)))?;
        Enlarger::new(part, picture.size)
            .add(probabilities, |part| writer.send(Work::Rows(rows(part, self.with_probabilities)?)))
    }
}
