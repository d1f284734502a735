//! The three loops: [`Trainer`], [`Validator`], [`Predictor`].
//!
//! A loop yields events, and the caller decides what to do with them: checkpoints, summaries, progress bars, stopping.
//!
//! ```
//! use contract::{Batch, Batches, BoxError, Event, Input, Progress};
//! use executors::Trainer;
//! use tch::{Device, Kind, Tensor, nn};
//!
//! /// Grey ramps: which pixels are brighter than the middle?
//! struct Ramps;
//!
//! impl Input for Ramps {
//!     fn epoch(&self, _: u64, skip: u64) -> Batches<'_> {
//!         Box::new((skip..self.len()).map(|index| {
//!             let ramp = Tensor::arange(64, (Kind::Float, Device::Cpu)) / 32.0 - 1.0 + index as f64 / 100.0;
//!             let inputs = ramp.f_view([1, 1, 8, 8])?;
//!             let targets = inputs.f_gt(0.0)?.f_squeeze_dim(1)?.f_to_kind(Kind::Int64)?;
//!             Ok(Batch::new(inputs, targets, vec![format!("ramp {index}")]))
//!         }))
//!     }
//!
//!     fn len(&self) -> u64 {
//!         10
//!     }
//! }
//!
//! let store = nn::VarStore::new(Device::Cpu);
//! let model = nn::conv2d(store.root(), 1, 2, 1, nn::ConvConfig::default()); // any tch module
//! let loss_fn = loss::CrossEntropy::default();
//! let config = optim::Config { learning_rate: 0.1, ..optim::Config::default() };
//! let length = optim::Length { updates_per_epoch: Ramps.len(), epochs: 5 };
//! let mut optimizer = config.build(contract::parameters(&store), optim::Schedule::default(), length)?;
//! let mut metric = metric::Segmentation::new(vec!["dark".into(), "bright".into()], Device::Cpu)?;
//!
//! let mut trainer = Trainer::new(&model, &Ramps, &loss_fn, &mut optimizer, &mut metric, 5).protect("model", &store);
//! let mut accuracy = 0.0;
//! for event in trainer.train(Progress::default()) {
//!     if let Event::Epoch { scores, .. } = event? {
//!         accuracy = scores[1].1;
//!     }
//! }
//! assert!(accuracy > 0.9, "{accuracy}");
//! # Ok::<(), BoxError>(())
//! ```
//!
//! `executors/examples/distill.rs` trains two networks in one loop. `crates/app/src/train.rs` is the program's own
//! loop.
//!
//! # What it does not do
//!
//! **Invariant:** nothing here reads or writes a file, prints, logs, knows a configuration or waits for the device
//! inside a step, but for the first steps of a capture, which are checked. (Before a prediction enqueues a third pass,
//! it waits for the first.) The crate `session` does that around a [`Trainer`]. The crate `distributed` spreads a
//! training over processes.

mod agreed;
mod band;
mod captured;
mod error;
mod fixed;
mod forward;
mod operators;
mod parts;
mod predictor;
mod proof;
mod protect;
mod scaled;
mod state;
mod tiled;
mod tiles;
mod tiling;
mod trainer;
mod validator;

pub use error::{Error, Pass, Place};
pub use predictor::{Prediction, Predictor};
pub use scaled::Scaled;
pub use state::RestoreError;
pub use tiled::{Finished, Tiled};
pub use tiles::{Mirrored, predict_tiles};
pub use tiling::{Tile, Tiling};
pub use trainer::{Trainer, Training};
pub use validator::Validator;

#[cfg(test)]
mod tests;
