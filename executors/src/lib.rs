//! The three loops: [`Trainer`], [`Validator`], [`Predictor`].
//!
//! **Invariant:** nothing here reads or writes a file, prints, logs, knows a configuration or waits for the device
//! inside a step. A loop yields events; the caller decides what to do with them (checkpoints, summaries, progress bars,
//! stopping). `crates/app/src/train.rs` is one such caller, `executors/examples/own_model.rs` the smallest.

mod error;
mod forward;
mod predictor;
mod protect;
mod tiles;
mod trainer;
mod validator;

pub use error::{Error, Pass, Place};
pub use predictor::{Prediction, Predictor};
pub use tiles::{Mirrored, Tiling, predict_tiles};
pub use trainer::{Trainer, Training};
pub use validator::Validator;

#[cfg(test)]
mod tests;
