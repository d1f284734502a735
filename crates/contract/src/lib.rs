//! Types and traits that all crates of oxiseg share.
//!
//! A training loop depends on six things: a [`Model`] (any tch module is one), [`Input`], [`Loss`], [`Optimizer`],
//! [`Metric`] and a number of epochs. This crate names them, says what flows between them ([`Batch`], [`Event`],
//! [`Progress`], [`Scores`]) and what of them a checkpoint keeps ([`Stateful`]). It does no work of its own beyond
//! loading a [`StateDict`] without ever half-loading it.
//!
//! Shapes are written `[N, C, H, W]`: samples, channels, height, width; `K` is the number of classes.

mod batch;
mod error;
mod event;
mod roles;
mod state;

pub use batch::{Batch, Batches, IGNORE_INDEX, Outputs};
pub use error::{BoxError, Invalid, OUT_OF_MEMORY, TorchError, caught, listed};
pub use event::{Event, KEPT_STEPS, Progress, Scores, Update};
pub use roles::{Average, Input, Loss, Metric, Model, Optimizer, Plain};
pub use state::{StateDict, StateError, Stateful, load, parameters};
