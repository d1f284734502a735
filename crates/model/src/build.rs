//! Building of a network from its configuration.

use crate::network::{Network, Single};
use crate::{Common, Config, MobileNetV2UNet, Precise, ResNetUNet, Segmenter, UNet};
use contract::{Ranks, TorchError, caught};
use std::sync::Arc;
use tch::nn::{Path, VarStore};
use torch_ext::Kernels;

impl Config {
    /// Makes the network's variables in `store`, initialised from libtorch's generator (seed it first), for images with
    /// `channels` channels and `classes` classes. The network computes with the kernels that `fused` chooses for this
    /// processor.
    pub fn build(&self, store: &VarStore, channels: i64, classes: i64) -> Result<Box<dyn Network>, TorchError> {
        let Common { precision, fused, .. } = *self.common();
        self.build_with(store, channels, classes, fused.kernels(precision), None)
    }

    /// Like [`build`](Self::build), with the given kernels. With `ranks`, BatchNorm takes its statistics in training
    /// over the batches of all of them.
    pub fn build_with(
        &self,
        store: &VarStore,
        channels: i64,
        classes: i64,
        kernels: Kernels,
        ranks: Option<Arc<dyn Ranks>>,
    ) -> Result<Box<dyn Network>, TorchError> {
        let network = caught(|| self.network(&store.root(), channels, classes));
        let network = network.map_err(|said| TorchError::new(&said))?;
        if let Some(encoder) = self.encoder() {
            encoder.freeze(store);
        }
        let mut network = Precise::of(network, store, self.common().precision.on(store.device())?)?;
        (network.kernels, network.ranks) = (kernels, ranks);
        Ok(Box::new(network))
    }

    fn network(&self, path: &Path, channels: i64, classes: i64) -> Box<dyn Network> {
        match self {
            Self::Unet(config) => Box::new(Single(Box::new(UNet::new(path, channels, classes, config)))),
            Self::MobilenetV2Unet(config) => {
                Box::new(Single(Box::new(MobileNetV2UNet::new(path, channels, classes, config))))
            }
            Self::ResnetUnet(config) => Box::new(Single(Box::new(ResNetUNet::new(path, channels, classes, config)))),
            Self::Segmenter(config) => Box::new(Segmenter::new(path, channels, classes, config)),
        }
    }
}
