//! Segmentation networks: plain structs over tch layers, and what runs them in a given precision.

mod config;
mod precision;
mod unet;

pub use config::{Config, Upsampling};
pub use precision::{Precise, Precision};
pub use unet::UNet;
