//! Segmentation networks: plain structs over tch layers, and a wrapper that runs them in a given precision.
//!
//! **Invariant:** a batch that is not finite leaves no trace in the running statistics.

mod blocks;
mod build;
mod config;
mod encoder;
mod fused;
mod mobilenet;
mod part;
mod precise;
mod precision;
mod resnet;
mod unet;
mod weights;

pub use config::{Block, Common, Config, Layers, MobileNetV2UNetConfig, ResNetUNetConfig, UNetConfig, Upsampling};
pub use encoder::{BatchNorm, EncoderConfig};
pub use fused::{Fused, is_here};
pub use mobilenet::MobileNetV2UNet;
pub use precise::Precise;
pub use precision::Precision;
pub use resnet::ResNetUNet;
pub use unet::UNet;
pub use weights::{Mismatch, WeightsConfig, adopt};
