//! One pass through a model whose panics are errors.

use crate::{Error, Place};
use contract::{Batch, TorchError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use tch::{Tensor, nn::ModuleT};

impl Place {
    pub(crate) fn of(epoch: u64, batch: u64, names: &[String]) -> Self {
        Self { epoch, batch, names: names.to_vec() }
    }
}

/// The model's outputs. `ModuleT` can report a failure (a wrong shape, memory) by a panic only.
pub(crate) fn forward(model: &dyn ModuleT, batch: &Batch, train: bool, place: &Place) -> Result<Tensor, Error> {
    catch_unwind(AssertUnwindSafe(|| model.forward_t(&batch.inputs, train))).map_err(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked");
        let of_torch = said.starts_with("called `Result::unwrap()`") || said.starts_with("libtorch: ");
        let source = if of_torch { TorchError::new(said).into() } else { said.into() };
        Error::Model { place: place.clone(), inputs: batch.inputs.size(), source }
    })
}
