//! A network as TorchScript, which PyTorch, libtorch and Triton run.

use crate::Error;
use contract::{TorchError, caught};
use std::path::Path;
use tch::nn::ModuleT;
use tch::{CModule, Device, Kind, TchError, Tensor};

/// A network that takes images from 0 to 1 and normalises them itself.
#[derive(Debug)]
pub struct Normalized {
    network: Box<dyn ModuleT>,
    /// Mean and standard deviation, `[1, C, 1, 1]`.
    constants: Option<[Tensor; 2]>,
}

impl Normalized {
    /// `network` after mean and standard deviation of each channel, if there are any, on the network's `device`.
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

/// Writes `network` to the file `path`, as libtorch follows it in evaluation mode on `example`, an input `[1, C, H, W]`: with its
/// parameters as constants (which must not want gradients any more) and BatchNorm folded into convolutions. Then it takes any
/// number of images, and any size whose sides are as divisible as the example's.
pub fn torchscript(network: &dyn ModuleT, example: &Tensor, path: &Path) -> Result<(), Error> {
    let _no_grad = tch::no_grad_guard();
    let mut failed = None;
    let mut follow = |inputs: &[Tensor]| {
        let run = || network.forward_t(&inputs[0], false);
        // Following has to come to its end, or it would go on with what this thread does next.
        vec![caught(run).unwrap_or_else(|said| {
            failed = Some(said);
            &inputs[0] + 0.0
        })]
    };
    let script = CModule::create_by_tracing("Network", "forward", &[example.shallow_clone()], &mut follow);
    if let Some(said) = failed {
        return Err(Error::Network(said));
    }
    let followed = path.with_extension("followed");
    let script = script.map_err(Error::torch("following the network for", path))?;
    script.save(&followed).map_err(Error::torch("writing", &followed))?;
    let frozen = torch_ext::freeze_script(&followed, path);
    // What is left of a failure is in nobody's way.
    let _ = std::fs::remove_file(&followed);
    frozen.map_err(|source| Error::Torch { doing: "freezing the network for", path: path.into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Config, Layers, MobileNetV2UNetConfig, ResNetUNetConfig, UNetConfig};
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
            torchscript(&network, &image(1, 64), &path).unwrap();
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
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
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.pt");
        let image = |channels: i64| Tensor::rand([1, channels, 32, 32], (Kind::Float, Device::Cpu));
        // Its weights want gradients.
        let error = torchscript(network.as_ref(), &image(3), &path).unwrap_err().to_string();
        assert!(error.contains("requires grad") && !error.contains('\n'), "{error}");
        store.freeze();
        let error = torchscript(network.as_ref(), &image(2), &path).unwrap_err().to_string();
        assert!(error.contains("channels") && !error.contains('\n'), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let error = torchscript(network.as_ref(), &image(3), &folder.path().join("none/model.pt")).unwrap_err();
        assert!(error.to_string().contains("none/model"), "{error}");
        torchscript(network.as_ref(), &image(3), &path).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
