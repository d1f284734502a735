//! Networks as files that others run.
//!
//! A saved network takes images as they are, RGB from 0 to 1 (`[N, C, H, W]` f32), and gives logits (`[N, K, H, W]` f32):
//! what the data was normalised with is part of it.

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

/// The name of a saved network's input: Triton's for TorchScript, which has none.
pub const INPUT: &str = "input__0";

/// The name of a saved network's output.
pub const OUTPUT: &str = "output__0";
