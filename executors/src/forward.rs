//! Calls of parts whose panics are errors.

use crate::{Error, Pass, Place};
use contract::{Batch, BoxError, Model, Outputs, caught};

impl Place {
    pub(crate) fn of(pass: Pass, batch: u64, names: &[String]) -> Self {
        Self { pass, batch, names: names.to_vec() }
    }
}

/// The model's outputs.
pub(crate) fn forward(model: &dyn Model, batch: &Batch, train: bool, place: &Place) -> Result<Outputs, Error> {
    caught(|| model.outputs(batch, train)).map_err(|said| Error::Model {
        place: place.clone(),
        inputs: batch.inputs.size(),
        source: said.into(),
    })
}

/// Calls a loss or a metric.
pub(crate) fn call<T>(run: impl FnOnce() -> Result<T, BoxError>) -> Result<T, BoxError> {
    caught(run).unwrap_or_else(|said| Err(said.into()))
}
