//! Types and traits that all crates of oxiseg share.
//!
//! A training loop depends on six things: a [`Model`] (any tch module is one), [`Input`], [`Loss`], [`Optimizer`],
//! [`Metric`] and a number of epochs. This crate names them, says what flows between them ([`Batch`], [`Event`],
//! [`Progress`], [`Scores`]) and what of them a checkpoint keeps ([`Stateful`]).
//!
//! Shapes are written `[N, C, H, W]`: samples, channels, height, width; `K` is the number of classes.
//!
//! ```
//! use contract::{Batch, Batches, Input};
//! use tch::{Device, Kind, Tensor};
//!
//! /// Grey images whose values are to be doubled. A batch is a function of epoch and index.
//! struct Doubled;
//!
//! impl Input for Doubled {
//!     fn epoch(&self, epoch: u64, skip: u64) -> Batches<'_> {
//!         Box::new((skip..self.len()).map(move |index| {
//!             let value = (epoch * self.len() + index) as f64;
//!             let inputs = Tensor::f_full([2, 1, 8, 8], value, (Kind::Float, Device::Cpu))?;
//!             let targets = inputs.f_mul_scalar(2.0)?;
//!             Ok(Batch::new(inputs, targets, vec![format!("{index}.0"), format!("{index}.1")]))
//!         }))
//!     }
//!
//!     fn len(&self) -> u64 {
//!         3
//!     }
//! }
//!
//! // A resumed epoch sees the rest.
//! let names: Vec<_> = Doubled.epoch(0, 2).map(|batch| batch.map(|batch| batch.names)).collect::<Result<_, _>>()?;
//! assert_eq!(names, [["2.0", "2.1"]]);
//! # Ok::<(), contract::BoxError>(())
//! ```
//!
//! # What it does not do
//!
//! It runs no loop and does no work of its own, beyond loading a [`StateDict`] whole or not at all ([`load`]). It does
//! no input or output.

mod across;
mod batch;
mod capture;
mod error;
mod event;
mod ranks;
mod roles;
mod state;

pub use across::{mean_across, total};
pub use batch::{Batch, Batches, IGNORE_INDEX, Outputs, Share};
pub use capture::{Agree, Capture, CaptureError, Stage, Step};
pub use error::{BoxError, Invalid, OUT_OF_MEMORY, TorchError, caught, listed};
pub use event::{Event, KEPT_STEPS, Progress, Scores, Update};
pub use ranks::{Alone, Ranks};
pub use roles::{Average, Input, Loss, Metric, Model, Optimizer, Plain, Replayable};
pub use state::{StateDict, StateError, Stateful, load, parameters};
