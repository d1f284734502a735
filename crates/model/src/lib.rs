//! Segmentation networks: plain structs over tch layers, and a wrapper that runs them in a given precision.
//!
//! ```
//! use model::{Config, UNetConfig};
//! use tch::{Device, Kind, Tensor, nn::VarStore};
//!
//! let store = VarStore::new(Device::Cpu);
//! let config = Config::Unet(UNetConfig { width: 4, depth: 2, ..UNetConfig::default() });
//! let network = config.build(&store, 3, 2)?; // channels, classes
//! let images = Tensor::zeros([1, 3, 16, 24], (Kind::Float, Device::Cpu));
//! let logits = tch::no_grad(|| network.forward_t(&images, false));
//! assert_eq!(logits.size(), [1, 2, 16, 24]);
//! # Ok::<(), contract::TorchError>(())
//! ```
//!
//! **Invariant:** a batch that is not finite leaves no trace in the running statistics.
//!
//! # What it does not do
//!
//! It downloads no weights. [`PUBLISHED`] names their addresses, the crate `fetch` gets their files, `weights` reads
//! them, and [`adopt`] and [`adopt_published`] take them. No network predicts masks one by one (Mask2Former).

mod backbone;
mod blocks;
mod build;
mod config;
mod encoder;
mod fused;
mod mobilenet;
mod named;
mod network;
mod part;
mod precise;
mod precision;
mod published;
mod resnet;
mod segmenter;
mod unet;
mod units;
mod weights;

pub use config::{
    Block, Common, Config, Layers, MobileNetV2UNetConfig, ResNetUNetConfig, SegmenterConfig, UNetConfig, Upsampling,
};
pub use encoder::{BatchNorm, EncoderConfig};
pub use fused::{Fused, is_here};
pub use mobilenet::MobileNetV2UNet;
pub use named::{Weights, adopt_published};
pub use network::{Network, Single, Trained};
pub use precise::Precise;
pub use precision::Precision;
pub use published::{Name, PUBLISHED, Published, published_of};
pub use resnet::ResNetUNet;
pub use segmenter::Segmenter;
pub use segmenter::config::{
    Backbone, BackboneConfig, DecoderConfig, DeeplabConfig, FpnConfig, PspnetConfig, SegformerConfig,
    UnetDecoderConfig, UnetPlusPlusConfig, UpernetConfig,
};
pub use unet::UNet;
pub use weights::{Mismatch, WeightsConfig, adopt};
