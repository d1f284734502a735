//! The `model` section of a configuration.

use crate::{Precise, Precision, UNet};
use contract::{Invalid, TorchError, caught};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::nn::{ModuleT, VarStore};

/// The most channels that a layer may have: a convolution between two such takes 10 GB.
const MOST_CHANNELS: i64 = 16_384;

/// The network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Model")]
pub struct Config {
    /// Channels at full size; each step down doubles them.
    pub width: i64,
    /// Steps down (and up again).
    pub depth: i64,
    /// How the way up doubles height and width.
    pub upsampling: Upsampling,
    /// The precision of convolutions.
    pub precision: Precision,
}

/// How height and width are doubled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Upsampling {
    /// A learned transposed convolution 2×2 with stride 2.
    #[default]
    Transposed,
    /// A convolution 1×1 and bilinear interpolation.
    Bilinear,
}

impl Default for Config {
    fn default() -> Self {
        Self { width: 32, depth: 4, upsampling: Upsampling::default(), precision: Precision::default() }
    }
}

impl Config {
    /// Refuses what cannot work.
    pub fn check(&self) -> Result<(), Invalid> {
        let within = |key: &str, value: i64, low: i64, high: i64| {
            Invalid::unless((low..=high).contains(&value), key, || format!("must be from {low} to {high}, is {value}"))
        };
        within("width", self.width, 1, 1024)?;
        within("depth", self.depth, 1, 8)?;
        let channels = self.width << self.depth;
        Invalid::unless(channels <= MOST_CHANNELS, "width", || {
            let (width, depth) = (self.width, self.depth);
            format!("{width} doubled {depth} times is {channels} channels, more than {MOST_CHANNELS}")
        })
    }

    /// Makes the network's variables in `store`, initialised from libtorch's generator (seed it first), for images of
    /// `channels` channels and `classes` classes.
    pub fn build(&self, store: &VarStore, channels: i64, classes: i64) -> Result<Box<dyn ModuleT>, TorchError> {
        let unet = || UNet::new(&store.root(), channels, classes, self.width, self.depth, self.upsampling);
        let unet = caught(unet).map_err(|said| TorchError::new(&said))?;
        Ok(Box::new(Precise::new(unet, store, self.precision)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind, Tensor};

    /// libtorch has one random generator, so tests that draw from it take turns.
    fn alone() -> std::sync::MutexGuard<'static, ()> {
        static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
        TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn config(width: i64, depth: i64) -> Config {
        Config { width, depth, ..Config::default() }
    }

    fn image(size: [i64; 4]) -> Tensor {
        Tensor::rand(size, (Kind::Float, Device::Cpu))
    }

    /// Published: 31,037,698 for width 64 and two classes (milesial/Pytorch-UNet), 7,763,041 for width 32 and one class
    /// (mateuszbuda/brain-segmentation-pytorch); a class more is `width + 1` parameters more.
    #[test]
    fn the_parameter_count_is_the_published_one() {
        let _turn = alone();
        let count = |width| {
            let store = VarStore::new(Device::Cpu);
            config(width, 4).build(&store, 3, 3).unwrap();
            store.trainable_variables().iter().map(Tensor::numel).sum::<usize>()
        };
        assert_eq!(count(32), 7_763_107);
        assert_eq!(count(64), 31_037_763);
    }

    #[test]
    fn any_size_channels_and_classes_fit_in_every_variant() {
        let _turn = alone();
        for upsampling in [Upsampling::Transposed, Upsampling::Bilinear] {
            for precision in [Precision::Fp32, Precision::Bf16] {
                let store = VarStore::new(Device::Cpu);
                let config = Config { upsampling, precision, ..config(4, 3) };
                let model = config.build(&store, 2, 5).unwrap();
                for (height, width) in [(16, 24), (17, 9), (1, 1)] {
                    let outputs = model.forward_t(&image([2, 2, height, width]), false);
                    assert_eq!((outputs.size(), outputs.kind()), (vec![2, 5, height, width], Kind::Float));
                }
            }
        }
    }

    #[test]
    fn bf16_stays_close_to_fp32_and_leaves_the_weights_alone() {
        let _turn = alone();
        let store = VarStore::new(Device::Cpu);
        tch::manual_seed(1);
        let unet = UNet::new(&store.root(), 3, 3, 8, 2, Upsampling::Transposed);
        let mut model = Precise::new(unet, &store, Precision::Fp32).unwrap();
        let x = image([2, 3, 16, 16]);
        let expected = model.forward_t(&x, false);
        model.precision = Precision::Bf16;
        let difference = (model.forward_t(&x, false) - &expected).norm() / expected.norm();
        let difference = difference.double_value(&[]);
        assert!((1e-6..0.05).contains(&difference), "{difference}");
        assert!(store.trainable_variables().iter().all(|weight| weight.kind() == Kind::Float));
    }

    #[test]
    fn weights_are_channels_last_and_so_are_their_gradients() {
        let _turn = alone();
        let store = VarStore::new(Device::Cpu);
        let model = config(8, 2).build(&store, 3, 3).unwrap();
        model.forward_t(&image([1, 3, 8, 8]), true).mean(Kind::Float).backward();
        let weights = store.trainable_variables();
        let convolutions: Vec<_> = weights.iter().filter(|w| w.dim() == 4 && w.size()[2] == 3).collect();
        assert_eq!(convolutions.len(), 10);
        for weight in convolutions {
            assert_eq!(weight.stride()[1], 1, "{:?}", weight.stride());
            assert_eq!(weight.grad().stride(), weight.stride());
        }
    }

    #[test]
    fn initialisation_is_he_and_a_function_of_the_seed() {
        let _turn = alone();
        let build = |seed| {
            let store = VarStore::new(Device::Cpu);
            tch::manual_seed(seed);
            config(32, 2).build(&store, 3, 3).unwrap();
            store.variables()
        };
        let (first, again, other) = (build(1), build(1), build(2));
        assert!(first.iter().all(|(name, tensor)| tensor.equal(&again[name])));
        let weight = |all: &std::collections::HashMap<String, Tensor>| all["bottom.conv2.weight"].copy();
        assert!(!weight(&first).equal(&weight(&other)));
        let std = weight(&first).std(true).double_value(&[]);
        let he = (2.0f64 / (128.0 * 9.0)).sqrt();
        assert!((std / he - 1.0).abs() < 0.02, "{std} against {he}");
        assert!(
            first
                .iter()
                .all(|(name, t)| !name.contains("norm") || !name.ends_with("weight") || t.equal(&t.ones_like()))
        );
    }

    #[test]
    fn impossible_values_are_named() {
        assert_eq!(config(32, 4).check(), Ok(()));
        assert_eq!(config(0, 4).check().unwrap_err().key, "width");
        assert_eq!(config(32, 0).check().unwrap_err().key, "depth");
        let error = config(1024, 5).check().unwrap_err().to_string();
        assert_eq!(error, "width: 1024 doubled 5 times is 32768 channels, more than 16384");
    }
}
