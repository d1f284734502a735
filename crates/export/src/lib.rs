//! Export of networks to files that other programs run.
//!
//! A saved network takes unnormalised images, RGB from 0 to 1 (`[N, C, H, W]` f32), and returns logits (`[N, K, H, W]`
//! f32): the normalisation is a part of it.
//!
//! ```
//! use export::{Frozen, Normalized, Numbers, Ports, follow, onnx, torchscript};
//! use tch::{Device, Kind, Tensor, nn};
//!
//! let mut store = nn::VarStore::new(Device::Cpu);
//! let network = nn::seq_t().add(nn::conv2d(store.root(), 3, 2, 1, nn::ConvConfig::default())).add_fn(|x| x.relu());
//! store.freeze(); // the weights become constants of the files
//! let (mean, deviation) = ([0.5, 0.5, 0.5], [0.25, 0.25, 0.25]);
//! let network = Normalized::new(Box::new(network), Some([&mean, &deviation]), Device::Cpu)?;
//! let script = follow(&network, &Tensor::rand([1, 3, 32, 32], (Kind::Float, Device::Cpu)))?;
//!
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! torchscript(&script, &folder.join("model.pt"))?;
//! onnx(&script, &Ports::of(&script)?, Numbers::F32, &folder.join("model.onnx"))?;
//!
//! // Reads the TorchScript as data, and runs it operator by operator.
//! let path = folder.join("model.pt");
//! let bytes = std::fs::read(&path)?;
//! let read = Frozen::read(&path, &bytes, &weights::constants(&path, &bytes)?, Device::Cpu)?;
//! assert_eq!(read.run(&Tensor::zeros([2, 3, 32, 32], (Kind::Float, Device::Cpu)))?.size(), [2, 2, 32, 32]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it does not do
//!
//! It translates the operators of the networks in `model`, and names any other one in an error. It does not publish a
//! folder of files: the program does. ONNX Runtime runs a file only with the feature
//! `onnx-runtime`, and rten, which needs no library, only with the feature `rten`.

mod config;
mod error;
mod frozen;
mod onnx;
mod parity;
mod ports;
mod torchscript;

pub use config::{Config, Format, Precision, Weights};
pub use error::Error;
pub use frozen::Frozen;
#[cfg(feature = "onnx-runtime")]
pub use onnx::OnnxRuntime;
#[cfg(feature = "rten")]
pub use onnx::Rten;
pub use onnx::{Calibration, Numbers, onnx};
pub use parity::{Parity, Tolerance};
pub use ports::Ports;
pub use torch_ext::Script;
pub use torchscript::{Normalized, follow, torchscript};

/// Name of a saved network's input: Triton's for TorchScript, which has no names.
pub const INPUT: &str = "input__0";

/// Name of a saved network's output.
pub const OUTPUT: &str = "output__0";
