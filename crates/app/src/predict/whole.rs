//! Predicts images that training brought to one size: in batches at that size, and back to their own.

use super::find::{Picture, Pictures};
use super::writer::{Image, MapWriter, RowsWriter, Work};
use crate::common::output;
use anyhow::{Context, Result};
use contract::Plain;
use data::{Images, Loader, LoaderConfig, Order, Passed, Split};
use executors::{Prediction, Predictor};
use saved::Enlarger;
use std::sync::Arc;
use tch::Device;
use tch::nn::ModuleT;

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
    pub fn predict(&self, pictures: &Pictures, writer: &MapWriter, mut told: impl FnMut()) -> Result<Vec<Passed>> {
        let data = self.data;
        let loader = LoaderConfig { max_skipped: pictures.len() as u64, ..data.loader().clone() };
        let pipeline = data.pipeline(Split::Validation);
        let input = Loader::new(self.images.clone(), pipeline, &loader, Order::Sequential, 0, self.device)?;
        let mut rows = RowsWriter::new(writer, self.device, self.with_probabilities)?;
        for prediction in Predictor::new(&Plain(self.model), &input).predict() {
            let prediction = prediction?;
            for passed in input.skipped().fresh() {
                output::skipped(std::slice::from_ref(&passed));
                writer.send(Work::Broken(passed))?;
                told();
            }
            // A batch of which nothing is left has an image that is none.
            let Some(picture) = pictures.get(&prediction.name) else { continue };
            self.write(&prediction, picture, writer, &mut rows)
                .with_context(|| format!("predicting {}", picture.file.display()))?;
            told();
        }
        Ok(input.skipped().all())
    }

    /// Hands over the probabilities at the image's size. Does not wait for the device.
    fn write(
        &self,
        prediction: &Prediction,
        picture: &Picture,
        writer: &MapWriter,
        rows: &mut RowsWriter,
    ) -> Result<()> {
        let part = self.images.rectangle(picture.size)?;
        writer.send(Work::Image(Image::of(&prediction.name, picture)))?;
        Enlarger::new(part, picture.size).add(&prediction.probabilities()?, |part| rows.send(part))
    }
}
