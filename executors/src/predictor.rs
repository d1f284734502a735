//! Prediction for images without targets.

use crate::forward::forward;
use crate::{Error, Pass, Place};
use contract::{Batch, Batches, Input, Model, TorchError};
use tch::{Kind, Tensor};
use torch_ext::Ahead;

/// Batches that the host may be ahead of the device: one that runs, and the next.
const AHEAD: usize = 2;

/// Runs a model over an input.
pub struct Predictor<'a> {
    /// The network; it runs in evaluation mode.
    pub model: &'a dyn Model,
    /// Source of images; targets are not looked at.
    pub input: &'a dyn Input,
}

/// Prediction for one image.
#[derive(Debug)]
#[non_exhaustive]
pub struct Prediction {
    /// Name of the image.
    pub name: String,
    /// The network's prediction as it is, on the model's device: logits `[K, H, W]`, depths `[H, W]`, ….
    pub outputs: Tensor,
}

impl Prediction {
    /// Returns `[K, H, W]` f32: the softmax of logits `[K, H, W]`, the probability of each class in each pixel.
    ///
    /// # Errors
    ///
    /// Fails if libtorch does.
    pub fn probabilities(&self) -> Result<Tensor, TorchError> {
        Ok(self.outputs.f_softmax(0, Kind::Float)?)
    }

    /// Returns `[H, W]` i64: the most likely class of each pixel of logits `[K, H, W]`.
    ///
    /// # Errors
    ///
    /// Fails if libtorch does.
    pub fn classes(&self) -> Result<Tensor, TorchError> {
        Ok(self.outputs.f_argmax(0, false)?)
    }
}

impl<'a> Predictor<'a> {
    /// Makes a predictor of the two things.
    pub fn new(model: &'a dyn Model, input: &'a dyn Input) -> Self {
        Self { model, input }
    }

    /// Returns the predictions for the whole input, in its order. Ends after the first error. Waits for no batch but
    /// the one before the last.
    pub fn predict(&self) -> impl Iterator<Item = Result<Prediction, Error>> + use<'a> {
        let mut batches: Option<(u64, Batches<'a>)> = Some((0, self.input.epoch(0, 0)));
        let (model, mut ahead) = (self.model, None);
        std::iter::from_fn(move || {
            let (index, rest) = batches.as_mut()?;
            let place = Place::of(Pass::Prediction, *index, &[]);
            let predictions = match rest.next()? {
                Err(source) => Err(Error::Input { place, source }),
                Ok(batch) => predict_batch(model, &batch, &mut ahead, Place { names: batch.names.clone(), ..place }),
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

fn predict_batch(
    model: &dyn Model,
    batch: &Batch,
    ahead: &mut Option<Ahead>,
    place: Place,
) -> Result<Vec<Prediction>, Error> {
    let _no_grad = tch::no_grad_guard();
    let outputs = forward(model, batch, false, &place)?.prediction;
    let failed = |source: TorchError| Error::Model { place, inputs: batch.inputs.size(), source: source.into() };
    let ahead = ahead.get_or_insert_with(|| Ahead::new(outputs.device(), AHEAD));
    let each = ahead.enqueued().and_then(|()| outputs.f_unbind(0).map_err(TorchError::from)).map_err(failed)?;
    let named = batch.names.iter().zip(each);
    Ok(named.map(|(name, outputs)| Prediction { name: name.clone(), outputs }).collect())
}
