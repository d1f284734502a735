//! The other networks: logits in evaluation and in training, with weights that both sides compute.

use super::{Recorded, assert_close};
use contract::{StateDict, Stateful};
use model::{Block, Config, Layers, MobileNetV2UNetConfig, ResNetUNetConfig, UNetConfig};
use tch::{Device, Kind, Tensor, nn::VarStore};

/// Numbers from -1 to 1, as `noise` of reference/networks.py.
fn noise(shape: &[i64], seed: f64) -> Tensor {
    let places = Tensor::arange_start(1, shape.iter().product::<i64>() + 1, (Kind::Double, Device::Cpu));
    ((places * 12.9898 + seed * 78.233).sin() * 43758.5453).frac().reshape(shape)
}

/// The weights, as `fill` makes them.
fn filled(state: StateDict) -> StateDict {
    let value = |seed: usize, name: &str, tensor: &Tensor| {
        let values = noise(&tensor.size(), seed as f64);
        let values = match name {
            _ if tensor.dim() == 4 => values * (3.0 / tensor.get(0).numel() as f64).sqrt(),
            _ if name.ends_with("running_var") => values / 2.0 + 1.0,
            _ if name.ends_with("weight") => values / 4.0 + 1.0,
            _ => values / 4.0,
        };
        values.to_kind(Kind::Float)
    };
    let values = state.into_iter().enumerate();
    values.map(|(seed, (name, tensor))| (name.clone(), value(seed, &name, &tensor))).collect()
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
    let inputs = noise(&[2, 3, 64, 32], 1000.0).to_kind(Kind::Float);
    for (name, config) in networks {
        let mut store = VarStore::new(Device::Cpu);
        let model = config.build(&store, 3, 3).unwrap();
        store.load_state(&filled(store.state())).unwrap();
        let _no_grad = tch::no_grad_guard();
        let check = |mode: &str, inputs: &Tensor, train| {
            let outputs = model.forward_t(inputs, train).narrow(0, 0, 1);
            assert_close(&format!("{name}, {mode}"), &outputs, &recorded.get(&format!("{name}.{mode}")));
        };
        check("evaluated", &inputs, false);
        // BatchNorm of the four values at the bottom makes differences of rounding large.
        store.double();
        check("trained", &inputs.to_kind(Kind::Double), true);
    }
}
