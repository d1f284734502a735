//! Networks that may have auxiliary heads.

use contract::{Batch, Model, Outputs};
use tch::Tensor;
use tch::nn::ModuleT;

/// A network. As a tch module it gives the prediction alone; [`Trained`] gives a loss its auxiliary outputs too.
pub trait Network: ModuleT {
    /// Returns the prediction for `x_nchw`, and in training the outputs of auxiliary heads. The provided method has
    /// none.
    ///
    /// # Panics
    ///
    /// May panic, as tch's modules do.
    fn outputs_t(&self, x_nchw: &Tensor, train: bool) -> Outputs {
        self.forward_t(x_nchw, train).into()
    }
}

/// A network as a [`Model`] with its auxiliary outputs.
pub struct Trained<'m>(pub &'m dyn Network);

impl Model for Trained<'_> {
    fn outputs(&self, batch: &Batch, train: bool) -> Outputs {
        self.0.outputs_t(&batch.inputs, train)
    }
}

/// A tch module as a network without auxiliary heads.
#[derive(Debug)]
pub struct Single(pub Box<dyn ModuleT>);

impl ModuleT for Single {
    fn forward_t(&self, x_nchw: &Tensor, train: bool) -> Tensor {
        self.0.forward_t(x_nchw, train)
    }
}

impl Network for Single {}
