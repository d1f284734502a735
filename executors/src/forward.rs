//! Forward pass of a model, with panics turned into errors.

use crate::{Error, Pass, Place};
use contract::{Batch, caught};
use tch::{Tensor, nn::ModuleT};

impl Place {
    pub(crate) fn of(pass: Pass, batch: u64, names: &[String]) -> Self {
        Self { pass, batch, names: names.to_vec() }
    }
}

/// Returns the model's outputs.
pub(crate) fn forward(model: &dyn ModuleT, batch: &Batch, train: bool, place: &Place) -> Result<Tensor, Error> {
    caught(|| model.forward_t(&batch.inputs, train)).map_err(|said| Error::Model {
        place: place.clone(),
        inputs: batch.inputs.size(),
        source: said.into(),
    })
}
