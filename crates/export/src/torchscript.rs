//! A network as TorchScript, which PyTorch, libtorch and Triton run.

use crate::Error;
use contract::TorchError;
use std::fs;
use std::path::Path;
use tch::nn::ModuleT;
use tch::{Device, Kind, TchError, Tensor};
use torch_ext::Script;

/// A network that takes images from 0 to 1 and normalises them itself.
#[derive(Debug)]
pub struct Normalized {
    network: Box<dyn ModuleT>,
    /// Mean and standard deviation, `[1, C, 1, 1]`.
    constants: Option<[Tensor; 2]>,
}

impl Normalized {
    /// Wraps `network`, which is on `device`, and normalises by mean and standard deviation of each channel, if given.
    pub fn new(network: Box<dyn ModuleT>, constants: Option<[&[f64]; 2]>, device: Device) -> Result<Self, TorchError> {
        let tensor = |values: &[f64]| {
            Tensor::f_from_slice(values)?.f_to_kind(Kind::Float)?.f_view([1, -1, 1, 1])?.f_to_device(device)
        };
        let constants = constants.map(|[mean, std]| Ok::<_, TchError>([tensor(mean)?, tensor(std)?]));
        Ok(Self { network, constants: constants.transpose()? })
    }
}

impl ModuleT for Normalized {
    fn forward_t(&self, x_nchw: &Tensor, train: bool) -> Tensor {
        match &self.constants {
            Some([mean, std]) => self.network.forward_t(&((x_nchw - mean) / std), train),
            None => self.network.forward_t(x_nchw, train),
        }
    }
}

/// Traces `network` in evaluation mode on `example`, an input `[1, C, H, W]`. Its parameters become constants (they
/// must no longer require gradients), and BatchNorm is folded into convolutions. The script takes any number of images,
/// of any size whose sides are as divisible as the example's.
pub fn follow(network: &dyn ModuleT, example: &Tensor) -> Result<Script, Error> {
    let _no_grad = tch::no_grad_guard();
    Script::follow(example, |images| network.forward_t(images, false)).map_err(Error::Follow)
}

/// Writes a traced network to the file `path`.
pub fn torchscript(script: &Script, path: &Path) -> Result<(), Error> {
    let bytes = script.bytes().map_err(Error::Follow)?;
    fs::write(path, bytes).map_err(|source| Error::Write { path: path.into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Config, Layers, MobileNetV2UNetConfig, ResNetUNetConfig, UNetConfig};
    use tch::CModule;
    use tch::nn::VarStore;

    #[test]
    fn a_script_gives_what_the_network_gives_for_any_batch_and_size() {
        let unet = UNetConfig { width: 4, depth: 2, ..UNetConfig::default() };
        let mobile = MobileNetV2UNetConfig { width_multiplier: 0.1, ..MobileNetV2UNetConfig::default() };
        let resnet = ResNetUNetConfig { layers: Layers::Eighteen, ..ResNetUNetConfig::default() };
        for config in [Config::Unet(unet), Config::MobilenetV2Unet(mobile), Config::ResnetUnet(resnet)] {
            let mut store = VarStore::new(Device::Cpu);
            let network = config.build(&store, 3, 3).unwrap();
            store.freeze();
            let image = |n: i64, size: i64| Tensor::rand([n, 3, size, size], (Kind::Float, Device::Cpu));
            let network = Normalized::new(network, Some([&[0.5, 0.4, 0.3], &[0.2, 0.3, 0.4]]), Device::Cpu).unwrap();
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("model.pt");
            torchscript(&follow(&network, &image(1, 64)).unwrap(), &path).unwrap();
            let loaded = CModule::load(&path).unwrap();
            for (n, size) in [(1, 64), (2, 64), (1, 128)] {
                let image = image(n, size);
                let _no_grad = tch::no_grad_guard();
                let (expected, found) = (network.forward_t(&image, false), loaded.forward_ts(&[&image]).unwrap());
                let worst = (&expected - found).abs().max().double_value(&[]);
                let largest = expected.abs().max().double_value(&[]);
                assert!(worst <= 1e-4 * largest, "{config:?}, {n} of {size}: {worst:e} of {largest}");
            }
        }
    }

    #[test]
    fn a_network_that_cannot_be_run_is_an_error_and_following_ends() {
        let mut store = VarStore::new(Device::Cpu);
        let network = Config::default().build(&store, 3, 3).unwrap();
        let image = |channels: i64| Tensor::rand([1, channels, 32, 32], (Kind::Float, Device::Cpu));
        // Its weights require gradients.
        let error = follow(network.as_ref(), &image(3)).unwrap_err().to_string();
        assert!(error.contains("requires grad") && !error.contains('\n'), "{error}");
        store.freeze();
        let error = follow(network.as_ref(), &image(2)).unwrap_err().to_string();
        assert!(error.contains("channels") && !error.contains('\n'), "{error}");
        follow(network.as_ref(), &image(3)).unwrap();
    }

    #[test]
    fn a_disk_without_room_is_an_error() {
        let script = Script::follow(&Tensor::from(1f32), |x| x + 1.0).unwrap();
        for path in ["/dev/full", "/nowhere/model.pt"] {
            let error = torchscript(&script, Path::new(path)).unwrap_err().to_string();
            assert!(error.starts_with(&format!("writing {path}: ")), "{error}");
        }
    }
}
