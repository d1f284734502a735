//! Losses on logits: cross entropy, Dice, and their weighted sum.
//!
//! ```
//! use contract::{Batch, Loss, Outputs};
//! use tch::{Device, Kind, Tensor};
//!
//! let logits = Tensor::zeros([1, 3, 2, 2], (Kind::Float, Device::Cpu)); // [N, K, H, W]
//! let classes = Tensor::from_slice(&[0i64, 1, 2, contract::IGNORE_INDEX]).view([1, 2, 2]);
//! let batch = Batch::new(Tensor::new(), classes, vec!["image".into()]);
//! let loss_fn = loss::Config::default().build(Device::Cpu)?;
//! let loss = loss_fn.loss(&Outputs::from(logits), &batch)?;
//! assert!((loss.double_value(&[]) - 3f64.ln()).abs() < 1e-6);
//! # Ok::<(), contract::BoxError>(())
//! ```
//!
//! # What it does not do
//!
//! Pixels whose target is [`contract::IGNORE_INDEX`] count in none of them. Targets are class ids, one a pixel: there
//! is no loss for classes that overlap, for probabilities or for regression. A closure of two tensors is a
//! [`contract::Loss`] too.

#[cfg(test)]
mod across;
mod config;
mod cross_entropy;
mod dice;

pub use config::{Config, Sum};
pub use cross_entropy::CrossEntropy;
pub use dice::Dice;
