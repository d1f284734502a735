//! The optimizer: Adam, AdamW and SGD over libtorch's fused kernels, learning-rate schedules, clipping by the global
//! norm, gradient accumulation, parameters that learn slower or later, loss scaling for f16, and a moving average of
//! the weights. Every bit of its state can be saved.
//!
//! **Invariant:** nothing here waits for the device, and a loss or gradient that is not finite, or overflows f32 once
//! the learning rate is applied, changes no weight.

mod average;
mod config;
mod error;
mod gradients;
mod groups;
mod loss_scale;
mod optimizer;
mod plateau;
mod rule;
mod scalar;
mod schedule;
mod weights;

pub use average::Average;
pub use config::{Config, Length};
pub use error::Error;
pub use gradients::Gradients;
pub use groups::GroupConfig;
pub use optimizer::Optim;
pub use plateau::{Direction, Plateau};
pub use rule::{Adam, Rule, Sgd};
pub use schedule::{Decay, Schedule};
