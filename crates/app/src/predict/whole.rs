//! Predicts images that training brought to one size: in batches at that size, and back to their own.

use super::find::Pictures;
use super::image::Image;
use super::source::{Said, Source};
use anyhow::{Context, Result};
use contract::Model;
use data::{Images, Loader, LoaderConfig, Order, Passed, Split};
use executors::{Error, Prediction, Predictor};
use saved::Enlarger;
use std::collections::VecDeque;
use std::sync::Arc;
use tch::Device;

/// Opens `images`, all of them, for the network of `data`.
pub fn open(images: &Arc<Images>, count: usize, data: &data::Config, device: Device) -> Result<Loader> {
    let loader = LoaderConfig { max_skipped: count as u64, ..data.loader().clone() };
    Ok(Loader::new(images.clone(), data.pipeline(Split::Validation), &loader, Order::Sequential, 0, device)?)
}

/// Predictions of a network that sees images whole.
pub struct Whole<'a> {
    predictions: Box<dyn Iterator<Item = Result<Prediction, Error>> + 'a>,
    input: &'a Loader,
    images: &'a Images,
    pictures: &'a Pictures,
    broken: VecDeque<Passed>,
    /// The image that begins next, and its rows.
    next: Option<(Image, Enlarger)>,
    /// Rows of the image that has begun.
    rows: Option<Enlarger>,
}

impl<'a> Whole<'a> {
    /// Starts the predictions for `images`, which `input` loads and `pictures` describes.
    pub fn start(model: &'a dyn Model, input: &'a Loader, images: &'a Images, pictures: &'a Pictures) -> Self {
        let predictions = Box::new(Predictor::new(model, input).predict());
        Self { predictions, input, images, pictures, broken: VecDeque::new(), next: None, rows: None }
    }

    /// Prepares the image of a prediction.
    fn begin(&mut self, prediction: &Prediction) -> Result<()> {
        // A batch of which nothing is left has an image that is none.
        let Some(picture) = self.pictures.get(&prediction.name) else { return Ok(()) };
        let enlarged = || {
            let mut enlarger = Enlarger::new(self.images.rectangle(picture.size)?, picture.size);
            enlarger.put(&prediction.probabilities()?)?;
            Ok::<_, anyhow::Error>(enlarger)
        };
        let rows = enlarged().with_context(|| format!("predicting {}", picture.file.display()))?;
        self.next = Some((Image::of(&prediction.name, picture), rows));
        Ok(())
    }
}

impl Source for Whole<'_> {
    fn next(&mut self) -> Result<Option<Said>> {
        loop {
            if let Some(rows) = &mut self.rows {
                let next = rows.take()?;
                return Ok(Some(next.map_or_else(
                    || {
                        self.rows = None;
                        Said::Done
                    },
                    Said::Rows,
                )));
            }
            if let Some(passed) = self.broken.pop_front() {
                return Ok(Some(Said::Broken(passed)));
            }
            if let Some((image, rows)) = self.next.take() {
                self.rows = Some(rows);
                return Ok(Some(Said::Image(image)));
            }
            let Some(prediction) = self.predictions.next() else { return Ok(None) };
            let prediction = prediction?;
            self.broken.extend(self.input.skipped().fresh());
            self.begin(&prediction)?;
        }
    }
}
