//! Segmentation networks: plain structs over tch layers, and what runs them in a given precision.
//!
//! **Invariant:** a batch that is not finite leaves no trace in the running statistics.

mod config;
mod precision;
mod statistics;
mod unet;

pub use config::{Config, Upsampling};
pub use precision::{Precise, Precision};
pub use unet::UNet;
