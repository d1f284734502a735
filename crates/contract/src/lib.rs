//! Types and traits that all crates of oxiseg share.
//!
//! A training loop depends on six things: a model (any [`tch::nn::ModuleT`]), [`Input`], [`Loss`], [`Optimizer`],
//! [`Metric`] and a number of epochs. This crate defines them, the data that flows between them ([`Batch`], [`Event`],
//! [`Progress`], [`Scores`]) and the state that a checkpoint keeps of them ([`Stateful`]). Its only own work is to load
//! a [`StateDict`] without ever half-loading it.
//!
//! Shapes are written `[N, C, H, W]`: samples, channels, height, width; `K` is the number of classes.

mod batch;
mod error;
mod event;
mod roles;
mod state;

pub use batch::{Batch, Batches, IGNORE_INDEX};
pub use error::{BoxError, Invalid, OUT_OF_MEMORY, TorchError, caught, listed};
pub use event::{Event, Progress, Scores, Update};
pub use roles::{Input, Loss, Metric, Optimizer};
pub use state::{StateDict, StateError, Stateful, load};
