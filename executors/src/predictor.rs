//! Prediction: class maps of unlabelled images.

use crate::forward::forward;
use crate::{Error, Pass, Place};
use contract::{Batch, Batches, Input, TorchError};
use tch::{Kind, Tensor, nn::ModuleT};

/// The prediction loop.
pub struct Predictor<'a> {
    /// The network; it runs in evaluation mode.
    pub model: &'a dyn ModuleT,
    /// Source of images; targets are ignored.
    pub input: &'a dyn Input,
}

/// Prediction for one image.
#[derive(Debug)]
pub struct Prediction {
    /// Name of the image.
    pub name: String,
    /// `[K, H, W]` f32, on the model's device: the probability of each class in each pixel.
    pub probabilities: Tensor,
}

impl Prediction {
    /// Returns the most likely class of each pixel, `[H, W]` i64.
    pub fn classes(&self) -> Result<Tensor, TorchError> {
        Ok(self.probabilities.f_argmax(0, false)?)
    }
}

impl<'a> Predictor<'a> {
    /// Creates a predictor for the images of `input`.
    pub fn new(model: &'a dyn ModuleT, input: &'a dyn Input) -> Self {
        Self { model, input }
    }

    /// Returns an iterator over the predictions for the whole input, in its order. It ends after the first error.
    pub fn predict(&self) -> impl Iterator<Item = Result<Prediction, Error>> + use<'a> {
        let mut batches: Option<(u64, Batches<'a>)> = Some((0, self.input.epoch(0, 0)));
        let model = self.model;
        std::iter::from_fn(move || {
            let (index, rest) = batches.as_mut()?;
            let place = Place::of(Pass::Prediction, *index, &[]);
            let predictions = match rest.next()? {
                Err(source) => Err(Error::Input { place, source }),
                Ok(batch) => predict_batch(model, &batch, Place { names: batch.names.clone(), ..place }),
            };
            *index += 1;
            if predictions.is_err() {
                batches = None;
            }
            Some(predictions.map_or_else(|error| vec![Err(error)], |all| all.into_iter().map(Ok).collect()))
        })
        .flatten()
    }
}

fn predict_batch(model: &dyn ModuleT, batch: &Batch, place: Place) -> Result<Vec<Prediction>, Error> {
    let _no_grad = tch::no_grad_guard();
    let outputs = forward(model, batch, false, &place)?;
    let probabilities = outputs
        .f_softmax(1, Kind::Float)
        .and_then(|all| all.f_unbind(0))
        .map_err(|error| Error::Model { place, inputs: batch.inputs.size(), source: TorchError::from(error).into() })?;
    let named = batch.names.iter().zip(probabilities);
    Ok(named.map(|(name, probabilities)| Prediction { name: name.clone(), probabilities }).collect())
}
