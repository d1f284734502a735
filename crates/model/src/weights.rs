//! Weights from elsewhere, renamed to fit a network here.

mod lite;
mod vit;

use crate::encoder::ENCODER;
use contract::{StateDict, TorchError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use tch::{Kind, Tensor};

/// Weights to start from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WeightsConfig {
    /// Path of a file (`.safetensors`, or a state dict of `torch.save`) or of a checkpoint's folder.
    pub path: PathBuf,
    /// Takes only the encoder's weights.
    #[serde(default)]
    pub encoder_only: bool,
    /// Leaves the last layer at its initial weights: for other classes.
    #[serde(default)]
    pub skip_head: bool,
}

/// Prefixes of all names if the network was part of a wrapper.
const WRAPPERS: [&str; 2] = ["module.", "model."];

/// Counter of PyTorch's BatchNorm, which no network here uses.
const COUNTER: &str = "num_batches_tracked";

/// Prefixes of the last layers of classifiers (torchvision's, timm's, efficientnet_lite_pytorch's), which an encoder
/// does not have; unless it has one of that name.
const CLASSIFIERS: [&str; 11] = [
    "fc.",
    "head.",
    "classifier.",
    "features.18.",
    "features.7.",
    "features.8.",
    "conv_head.",
    "bn2.",
    "_conv_head.",
    "_bn1.",
    "_fc.",
];

/// Prefixes of the last layers of the networks here.
const HEADS: [&str; 2] = ["head.", "segmentation_head."];

/// Weights that do not fit a network. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the weights are not those of this network{}{}{}",
    list("missing", missing),
    list("unexpected", unexpected),
    list("of another shape", misshapen)
)]
pub struct Mismatch {
    /// Names that only the network has.
    pub missing: Vec<String>,
    /// Names that only the weights have, as spelled there.
    pub unexpected: Vec<String>,
    /// Names that both have with different shapes, and the shapes.
    pub misshapen: Vec<String>,
}

fn list(what: &str, names: &[String]) -> String {
    match names.len() {
        0 => String::new(),
        count => format!("\n  {what} ({count}):\n    {}", names.join("\n    ")),
    }
}

/// Channels of the images that published weights were trained on.
const CHANNELS: i64 = 3;

/// Returns the tensors of `found` as f32, under their names in `network`: all of the network's, or all that `config`
/// asks for.
///
/// Names of torchvision's classifiers become the encoder's, as do those of EfficientNet-Lite in timm and in
/// efficientnet_lite_pytorch. The names of segmentation_models.pytorch's networks are the same here. A `module.` or
/// `model.` before every name is stripped.
///
/// If only the encoder's are asked for, its first convolution is adapted to images of another number of channels than
/// three, as segmentation_models.pytorch does it: summed for one channel; else channel `i` has the weights of channel
/// `i mod 3`, times three over the number of channels.
///
/// # Errors
///
/// Fails with a list of every tensor that is missing, unexpected, or of another shape.
pub fn adopt(found: StateDict, network: &StateDict, config: &WeightsConfig) -> Result<StateDict, Mismatch> {
    let wanted = |name: &str| {
        let of_head = HEADS.iter().any(|head| name.starts_with(head));
        (of_encoder(name) || !config.encoder_only) && !(of_head && config.skip_head)
    };
    let mut named = named(found, network);
    named.retain(|name, _| wanted(name));
    let (mut state, mut missing, mut misshapen) = (StateDict::new(), Vec::new(), Vec::new());
    for (name, own) in network.iter().filter(|(name, _)| wanted(name)) {
        let Some((_, tensor)) = named.remove(name) else {
            missing.push(name.clone());
            continue;
        };
        let adapted = if config.encoder_only { first_convolution(&tensor, &own.size()) } else { None };
        let tensor = adapted.unwrap_or(tensor);
        let (expected, size) = (own.size(), tensor.size());
        match tensor.f_to_kind(Kind::Float) {
            Ok(tensor) if expected == size => drop(state.insert(name.clone(), tensor)),
            Ok(_) => misshapen.push(format!("{name}: expected {expected:?}, found {size:?}")),
            Err(error) => misshapen.push(format!("{name}: {}", TorchError::new(&error.to_string()))),
        }
    }
    let unexpected: Vec<String> = named.into_values().map(|(name, _)| name).collect();
    if missing.is_empty() && unexpected.is_empty() && misshapen.is_empty() {
        return Ok(state);
    }
    Err(Mismatch { missing, unexpected, misshapen })
}

/// Returns the weight of a convolution over three channels for as many as `wanted` has. None if it is another weight,
/// or fits as it is. (No other convolution of an encoder has three input channels: depthwise ones have one.)
fn first_convolution(weight: &Tensor, wanted: &[i64]) -> Option<Tensor> {
    let size = weight.size();
    let &[outputs, channels, height, width] = wanted else { return None };
    if size != [outputs, CHANNELS, height, width] || channels == CHANNELS || channels < 1 {
        return None;
    }
    let weight = weight.f_to_kind(Kind::Float).ok()?;
    if channels == 1 {
        return weight.f_sum_dim_intlist([1i64].as_slice(), true, Kind::Float).ok();
    }
    let cycled: Vec<i64> = (0..channels).map(|channel| channel % CHANNELS).collect();
    let cycled = weight.f_index_select(1, &Tensor::f_from_slice(&cycled).ok()?).ok()?;
    cycled.f_mul_scalar(CHANNELS as f64 / channels as f64).ok()
}

fn of_encoder(name: &str) -> bool {
    name.strip_prefix(ENCODER).is_some_and(|rest| rest.starts_with('.'))
}

/// Returns the tensors by their names in the network, each with its original name.
fn named(found: StateDict, network: &StateDict) -> BTreeMap<String, (String, Tensor)> {
    let counted = found.into_iter().filter(|(name, _)| !name.ends_with(COUNTER));
    let mut tensors: Vec<_> = counted.map(|(name, tensor)| (name.clone(), (name, tensor))).collect();
    let wraps = |wrapper: &&&str, tensors: &[(String, _)]| {
        !tensors.is_empty() && tensors.iter().all(|(name, _)| name.starts_with(**wrapper))
    };
    while let Some(wrapper) = WRAPPERS.iter().find(|wrapper| wraps(wrapper, &tensors)) {
        tensors.iter_mut().for_each(|(name, _)| drop(name.drain(..wrapper.len())));
    }
    if !network.keys().any(|name| of_encoder(name)) {
        return tensors.into_iter().collect();
    }
    if !tensors.iter().any(|(name, _)| of_encoder(name)) {
        tensors.iter_mut().for_each(|(name, _)| *name = format!("{ENCODER}.{name}"));
    }
    let classifies = |name: &str| {
        let own = name.strip_prefix(ENCODER).and_then(|rest| rest.strip_prefix('.'));
        own.is_some_and(|own| CLASSIFIERS.iter().any(|classifier| own.starts_with(classifier)))
    };
    tensors.retain(|(name, _)| network.contains_key(name) || !classifies(name));
    lite::rename(&mut tensors, network);
    vit::rename(&mut tensors, network);
    tensors.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Layers, MobileNetV2UNetConfig, ResNetUNetConfig};
    use contract::Stateful;
    use tch::Device;
    use tch::nn::VarStore;

    fn state(config: &Config) -> StateDict {
        let store = VarStore::new(Device::Cpu);
        config.build(&store, 3, 2).unwrap();
        store.state()
    }

    fn resnet() -> Config {
        Config::ResnetUnet(ResNetUNetConfig { layers: Layers::Eighteen, ..ResNetUNetConfig::default() })
    }

    fn mobile() -> Config {
        Config::MobilenetV2Unet(MobileNetV2UNetConfig { width_multiplier: 0.1, ..MobileNetV2UNetConfig::default() })
    }

    fn config(encoder_only: bool, skip_head: bool) -> WeightsConfig {
        WeightsConfig { path: "x".into(), encoder_only, skip_head }
    }

    fn renamed(state: &StateDict, name: impl Fn(&str) -> Option<String>) -> StateDict {
        state.iter().filter_map(|(old, tensor)| Some((name(old)?, tensor.shallow_clone()))).collect()
    }

    fn copied(state: &StateDict) -> StateDict {
        renamed(state, |name| Some(name.into()))
    }

    fn encoder(state: &StateDict) -> StateDict {
        renamed(state, |name| Some(name.strip_prefix("encoder.")?.into()))
    }

    fn zeros(size: &[i64]) -> Tensor {
        Tensor::zeros(size, (Kind::Float, Device::Cpu))
    }

    fn same(left: &StateDict, right: &StateDict) -> bool {
        left.len() == right.len() && left.iter().all(|(name, tensor)| tensor.equal(&right[name]))
    }

    #[test]
    fn the_names_of_others_become_those_of_the_network() {
        let all = config(false, false);
        for network in [resnet(), mobile()] {
            let (network, found) = (state(&network), state(&network));
            assert!(same(&adopt(copied(&found), &network, &all).unwrap(), &found));
            let mut wrapped = renamed(&found, |name| Some(format!("module.model.{name}")));
            wrapped.insert("module.model.encoder.bn1.num_batches_tracked".into(), Tensor::from(3i64));
            assert!(same(&adopt(wrapped, &network, &all).unwrap(), &found));
            // A torchvision network with its classifier.
            let mut classifier = encoder(&found);
            for (name, size) in [("fc.weight", 1000), ("classifier.1.bias", 1000), ("features.18.0.weight", 1280)] {
                classifier.insert(name.into(), zeros(&[size]));
            }
            let adopted = adopt(classifier, &network, &config(true, false)).unwrap();
            assert!(same(&adopted, &renamed(&found, |name| of_encoder(name).then(|| name.into()))));
        }
    }

    #[test]
    fn all_that_does_not_fit_is_listed() {
        let network = state(&resnet());
        let mut found = encoder(&network);
        drop(found.remove("bn1.bias"));
        found.insert("bn1.offset".into(), zeros(&[64]));
        found.insert("conv1.weight".into(), zeros(&[64, 1, 7, 7]));
        let mismatch = adopt(found, &network, &config(true, false)).unwrap_err();
        assert_eq!(mismatch.missing, ["encoder.bn1.bias"]);
        assert_eq!(mismatch.unexpected, ["bn1.offset"]);
        assert_eq!(mismatch.misshapen, ["encoder.conv1.weight: expected [64, 3, 7, 7], found [64, 1, 7, 7]"]);
        let said = mismatch.to_string();
        assert!(said.contains("\n  missing (1):\n    encoder.bn1.bias\n  unexpected (1):"), "{said}");
        // An encoder alone is no network.
        let mismatch = adopt(encoder(&network), &network, &config(false, false)).unwrap_err();
        assert!(mismatch.missing.iter().all(|name| !of_encoder(name)) && mismatch.missing.len() > 40);
        assert!(adopt(StateDict::new(), &network, &config(true, false)).is_err());
    }

    #[test]
    fn another_head_is_left_out_only_if_asked() {
        for (kind, head) in [(resnet(), "segmentation_head.0.bias"), (mobile(), "head.bias")] {
            let network = state(&kind);
            let other = || {
                let mut other = copied(&network);
                other.insert(head.into(), zeros(&[9]));
                other
            };
            let mismatch = adopt(other(), &network, &config(false, false)).unwrap_err();
            assert_eq!(mismatch.misshapen, [format!("{head}: expected [2], found [9]")]);
            let adopted = adopt(other(), &network, &config(false, true)).unwrap();
            assert_eq!(network.len() - adopted.len(), 2);
        }
    }

    #[test]
    fn other_kinds_of_floats_become_f32() {
        let network = state(&mobile());
        let half = network.iter().map(|(name, tensor)| (name.clone(), tensor.to_kind(Kind::BFloat16))).collect();
        let adopted = adopt(half, &network, &config(false, false)).unwrap();
        assert!(adopted.values().all(|tensor| tensor.kind() == Kind::Float));
    }
}
