//! Export of networks to files that other programs run.
//!
//! A saved network takes unnormalised images, RGB from 0 to 1 (`[N, C, H, W]` f32), and returns logits (`[N, K, H, W]`
//! f32): the normalisation is a part of it.

mod config;
mod error;
mod frozen;
mod onnx;
mod parity;
mod torchscript;

pub use config::{Config, Format, Weights};
pub use error::Error;
pub use frozen::Frozen;
#[cfg(feature = "onnx-runtime")]
pub use onnx::OnnxRuntime;
pub use onnx::onnx;
pub use parity::Parity;
pub use torch_ext::Script;
pub use torchscript::{Normalized, follow, torchscript};

/// Name of a saved network's input: Triton's for TorchScript, which has no names.
pub const INPUT: &str = "input__0";

/// Name of a saved network's output.
pub const OUTPUT: &str = "output__0";
