//! Networks as files that others run.
//!
//! A saved network takes images as they are, RGB from 0 to 1 (`[N, C, H, W]` f32), and gives logits (`[N, K, H, W]` f32):
//! what the data was normalised with is part of it.

mod error;
mod parity;
mod torchscript;

pub use error::Error;
pub use parity::Parity;
pub use torchscript::{Normalized, torchscript};
