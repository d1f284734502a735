//! The optimizer: Adam, AdamW and SGD over libtorch's fused kernels, RAdam and Lion over its operators for lists,
//! learning-rate schedules, clipping by the global norm, gradient accumulation, parameters that learn slower or later,
//! loss scaling for f16, and averages of the weights. Every bit of its state can be saved.
//!
//! ```
//! use contract::Optimizer;
//! use optim::{Config, Length, Rule, Schedule, Sgd};
//! use tch::{Device, Kind, Tensor, nn::VarStore};
//!
//! let store = VarStore::new(Device::Cpu);
//! let weight = store.root().zeros("weight", &[3]);
//! let config = Config { rule: Rule::Sgd(Sgd::default()), learning_rate: 0.1, ..Config::default() };
//! let length = Length { updates_per_epoch: 50, epochs: 1 };
//! let mut optimizer = config.build(contract::parameters(&store), Schedule::default(), length)?;
//! for _ in 0..50 {
//!     let loss = (&weight - 2.0).square().sum(Kind::Float);
//!     let update = optimizer.minimize(&loss, &|| Ok(Tensor::from(1f32)))?;
//!     let update = update.expect("a batch is an update, unless gradients are accumulated");
//!     assert_eq!(update.rejected.double_value(&[]), 0.0);
//! }
//! assert!((weight.mean(Kind::Double).double_value(&[]) - 2.0).abs() < 0.1);
//! # Ok::<(), contract::BoxError>(())
//! ```
//!
//! **Invariant:** nothing here waits for the device, and a loss or gradient that is not finite, or overflows f32 once
//! the learning rate is applied, changes no weight.
//!
//! # What it does not do
//!
//! A learning rate follows the number of the update or a score, nothing else. All parameters are on one device. Running
//! statistics are no parameters, so those of a frozen group are the network's to keep.

mod average;
mod build;
mod config;
mod error;
mod gradients;
mod groups;
mod loss_scale;
mod lowest;
mod one_cycle;
mod optimizer;
mod plateau;
mod rule;
mod scalar;
mod schedule;
mod swa;
mod weights;

pub use average::Average;
pub use config::{Config, Length};
pub use error::Error;
pub use gradients::Gradients;
pub use groups::{GroupConfig, LayerDecay};
pub use one_cycle::{Anneal, OneCycle};
pub use optimizer::Optim;
pub use plateau::{Direction, Plateau};
pub use rule::{Adam, Lion, RAdam, Rule, Sgd};
pub use schedule::{Decay, Schedule};
pub use swa::Swa;
