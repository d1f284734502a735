//! The other networks: logits in evaluation and in training, with computed weights that are the same on both sides.

use super::{Recorded, assert_close, reference};
use contract::{StateDict, Stateful};
use model::{Block, Config, Layers, MobileNetV2UNetConfig, ResNetUNetConfig, UNetConfig, WeightsConfig};
use std::collections::BTreeMap;
use std::fs;
use tch::{Device, Kind, Tensor, nn::ModuleT, nn::VarStore};
use testing::{noise, noise_f64};

/// Returns the weights that `fill` of reference/computed.py makes, in the precision of those in `state`.
pub fn filled(state: StateDict) -> StateDict {
    let value = |seed: usize, name: &str, tensor: &Tensor| {
        let values = noise_f64(&tensor.size(), seed as u64);
        let values = match name {
            _ if [2, 4].contains(&tensor.dim()) => values * (3.0 / tensor.get(0).numel() as f64).sqrt(),
            _ if name.ends_with("running_var") => values / 2.0 + 1.0,
            _ if name.ends_with("weight") => values / 4.0 + 1.0,
            _ => values / 4.0,
        };
        values.to_kind(tensor.kind())
    };
    let values = state.into_iter().enumerate();
    values.map(|(seed, (name, tensor))| (name.clone(), value(seed, &name, &tensor))).collect()
}

/// Asserts that a network's logits are those recorded under `name`.
fn check(name: &str, recorded: &Recorded, store: &mut VarStore, model: &dyn ModuleT) {
    let _no_grad = tch::no_grad_guard();
    let inputs = noise(&[2, 3, 64, 32], 1000);
    let compare = |mode: &str, inputs: &Tensor, train| {
        let outputs = model.forward_t(inputs, train).narrow(0, 0, 1);
        assert_close(&format!("{name}, {mode}"), &outputs, &recorded.get(&format!("{name}.{mode}")));
    };
    compare("evaluated", &inputs, false);
    // BatchNorm of the four values at the bottom amplifies rounding errors.
    store.double();
    compare("trained", &inputs.to_kind(Kind::Double), true);
}

#[test]
fn logits_are_those_of_pytorch_with_the_encoders_of_torchvision() {
    let recorded = Recorded::open("networks");
    let mobile = |width_multiplier| {
        Config::MobilenetV2Unet(MobileNetV2UNetConfig { width_multiplier, ..MobileNetV2UNetConfig::default() })
    };
    let resnet = |layers| Config::ResnetUnet(ResNetUNetConfig { layers, ..ResNetUNetConfig::default() });
    let unet = UNetConfig { width: 4, depth: 2, block: Block::Residual, attention: true, ..UNetConfig::default() };
    let networks = [
        ("mobilenet_v2", mobile(1.0)),
        ("mobilenet_v2_0.35", mobile(0.35)),
        ("resnet18", resnet(Layers::Eighteen)),
        ("resnet34", resnet(Layers::ThirtyFour)),
        ("resnet50", resnet(Layers::Fifty)),
        ("unet_residual_attention", Config::Unet(unet)),
    ];
    for (name, config) in networks {
        let mut store = VarStore::new(Device::Cpu);
        let model = config.build(&store, 3, 3).unwrap();
        store.load_state(&filled(store.state())).unwrap();
        check(name, &recorded, &mut store, model.as_ref());
    }
}

#[test]
fn a_classifier_of_torchvision_becomes_the_encoder_that_it_is() {
    let path = reference("torchvision_mobilenet_v2.pt");
    let weights = WeightsConfig { path: path.clone(), encoder_only: true, skip_head: false };
    let config = MobileNetV2UNetConfig { width_multiplier: 0.1, ..MobileNetV2UNetConfig::default() };
    let mut store = VarStore::new(Device::Cpu);
    let model = Config::MobilenetV2Unet(config).build(&store, 3, 3).unwrap();
    let mut state = filled(store.state());
    let adopted = model::adopt(weights::read(&path).unwrap(), &state, &weights).unwrap();
    assert_eq!(adopted.len(), state.keys().filter(|name| name.starts_with("encoder.")).count());
    state.extend(adopted);
    store.load_state(&state).unwrap();
    check("imported", &Recorded::open("networks"), &mut store, model.as_ref());
}

#[test]
fn so_does_a_resnet() {
    for (name, layers) in [("resnet18", Layers::Eighteen), ("resnet50", Layers::Fifty)] {
        let shapes = fs::read_to_string(reference(&format!("torchvision_{name}.json"))).unwrap();
        let shapes: BTreeMap<String, Vec<i64>> = serde_json::from_str(&shapes).unwrap();
        let zeros =
            |(name, shape): (&String, &Vec<i64>)| (name.clone(), Tensor::zeros(shape, (Kind::Float, Device::Cpu)));
        let mut whole =
            filled(shapes.iter().filter(|(name, _)| !name.ends_with("num_batches_tracked")).map(zeros).collect());
        assert!(whole.contains_key("fc.weight") && shapes.len() > whole.len());
        whole.insert("bn1.num_batches_tracked".into(), Tensor::from(7i64));
        // As a file, which is the form in which they are published.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("resnet.safetensors");
        Tensor::write_safetensors(&whole.iter().collect::<Vec<_>>(), &path).unwrap();

        let weights = WeightsConfig { path: path.clone(), encoder_only: true, skip_head: false };
        let mut store = VarStore::new(Device::Cpu);
        let config = Config::ResnetUnet(ResNetUNetConfig { layers, ..ResNetUNetConfig::default() });
        let model = config.build(&store, 3, 3).unwrap();
        let mut state = filled(store.state());
        state.extend(model::adopt(weights::read(&path).unwrap(), &state, &weights).unwrap());
        store.load_state(&state).unwrap();
        check(&format!("imported_{name}"), &Recorded::open("networks"), &mut store, model.as_ref());
    }
}

#[test]
fn noise_is_that_of_the_reference() {
    // NumPy's, as `noise(torch.Size([2, 2]), 3)` of reference/networks.py:
    // x = np.sin(np.arange(1, 5) * 12.9898 + 3 * 78.233) * 43758.5453; x - np.trunc(x)
    let expected = [0.4199000090593472, 0.2964715612447435, -0.09670751959856716, -0.3822425615726388];
    let values = noise_f64(&[2, 2], 3);
    assert_eq!(values.size(), [2, 2]);
    // Sines differ in their last bits, which the factor enlarges.
    assert!((values.reshape([4]) - Tensor::from_slice(&expected)).abs().max().double_value(&[]) < 1e-9);
    assert_eq!(noise(&[2, 2], 3), noise_f64(&[2, 2], 3).to_kind(Kind::Float));
}
