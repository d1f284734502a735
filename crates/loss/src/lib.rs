//! Losses on logits, and any weighted sum of them: of pixels (cross entropy, focal, binary cross entropy, OHEM), of
//! overlaps (Dice, Jaccard, Tversky, Lovász) and of boundaries.
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
mod auxiliary;
mod binary;
mod boundary;
mod config;
mod cross_entropy;
mod dice;
mod error;
mod focal;
mod lovasz;
mod ohem;
mod pixels;
mod sum;
mod term;
mod tversky;
mod weights;

pub use auxiliary::{Auxiliary, Rule};
pub use binary::BinaryCrossEntropy;
pub use boundary::Boundary;
pub use config::Config;
pub use cross_entropy::CrossEntropy;
pub use dice::Dice;
pub use error::Error;
pub use focal::Focal;
pub use lovasz::Lovasz;
pub use ohem::Ohem;
pub use sum::Sum;
pub use term::Term;
pub use tversky::Tversky;
pub use weights::{ClassWeights, Frequency};
