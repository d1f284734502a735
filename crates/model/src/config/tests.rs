//! Tests of the networks that a configuration describes: output sizes, numbers of parameters, initialisation.

use super::*;
use crate::{BatchNorm, Precise, UNet, WeightsConfig};
use contract::Stateful;
use tch::nn::{ModuleT, VarStore};
use tch::{Device, Kind, Tensor};
use testing::noise;

fn unet(width: i64, depth: i64) -> UNetConfig {
    UNetConfig { width, depth, ..UNetConfig::default() }
}

fn common(precision: Precision) -> Common {
    Common { precision, ..Common::default() }
}

fn config(width: i64, depth: i64) -> Config {
    Config::Unet(unet(width, depth))
}

fn image(size: [i64; 4]) -> Tensor {
    Tensor::rand(size, (Kind::Float, Device::Cpu))
}

/// Published: 31,037,698 for width 64 and two classes (milesial/Pytorch-UNet), 7,763,041 for width 32 and one class
/// (mateuszbuda/brain-segmentation-pytorch); each further class adds `width + 1` parameters.
#[test]
fn the_parameter_count_is_the_published_one() {
    let count = |width| {
        let store = VarStore::new(Device::Cpu);
        config(width, 4).build(&store, 3, 3).unwrap();
        store.trainable_variables().iter().map(Tensor::numel).sum::<usize>()
    };
    assert_eq!(count(32), 7_763_107);
    assert_eq!(count(64), 31_037_763);
}

/// Returns the number of all parameters and that of the trained ones.
fn counts(config: &Config, classes: i64) -> [usize; 2] {
    let store = VarStore::new(Device::Cpu);
    config.build(&store, 3, classes).unwrap();
    let is_parameter = |name: &str| !name.contains("running");
    let parameters = store.variables().into_iter().filter(|(name, _)| is_parameter(name)).map(|(_, tensor)| tensor);
    let count = |all: Vec<Tensor>| all.iter().map(Tensor::numel).sum();
    let all: Vec<Tensor> = parameters.collect();
    let trained = all.iter().filter(|tensor| tensor.requires_grad()).map(Tensor::shallow_clone).collect();
    [count(all), count(trained)]
}

/// MobileNetV2 has 3,504,872 parameters in torchvision. A UNet leaves out 1,281,000 of the classifier and 412,160 of
/// the last convolution. With a frozen encoder, TensorFlow's tutorial on segmentation trains 4,660,323.
#[test]
fn mobilenet_has_the_published_parameters() {
    let encoder = |frozen| EncoderConfig { frozen, ..EncoderConfig::default() };
    let network = |frozen| {
        Config::MobilenetV2Unet(MobileNetV2UNetConfig { encoder: encoder(frozen), ..MobileNetV2UNetConfig::default() })
    };
    let all = 3_504_872 - 1_281_000 - 412_160 + 4_660_323;
    assert_eq!(counts(&network(false), 3), [all, all]);
    assert_eq!(counts(&network(true), 3), [all, 4_660_323]);
}

/// Published by segmentation_models.pytorch: 24,436,369 for one class with ResNet-34. In torchvision the encoders with
/// 18 and 50 layers have 11,689,512 and 25,557,032 parameters, of which 513,000 and 2,049,000 are the classifier's.
#[test]
fn resnets_have_the_published_parameters() {
    let network = |layers| Config::ResnetUnet(ResNetUNetConfig { layers, ..ResNetUNetConfig::default() });
    assert_eq!(counts(&network(Layers::ThirtyFour), 1)[0], 24_436_369);
    let decoder = 24_436_369 - (21_797_672 - 513_000);
    assert_eq!(counts(&network(Layers::Eighteen), 1)[0], 11_689_512 - 513_000 + decoder);
    // All skips but the first are four times as wide.
    let wider = 9 * (256 * (3 * 512 + 3 * 256) + 128 * 3 * 128 + 64 * 3 * 64);
    assert_eq!(counts(&network(Layers::Fifty), 1)[0], 25_557_032 - 2_049_000 + decoder + wider);
}

#[test]
fn an_encoder_that_runs_on_running_statistics_leaves_them_alone_and_the_rest_trains() {
    for frozen in [false, true] {
        let encoder = EncoderConfig { frozen, batch_norm: BatchNorm::Running };
        let small = MobileNetV2UNetConfig { width_multiplier: 0.1, encoder, ..Default::default() };
        let resnet = ResNetUNetConfig { layers: Layers::Eighteen, encoder, ..Default::default() };
        for config in [Config::MobilenetV2Unet(small), Config::ResnetUnet(resnet)] {
            let store = VarStore::new(Device::Cpu);
            let model = config.build(&store, 3, 2).unwrap();
            let before: Vec<_> = store.variables().into_iter().map(|(name, tensor)| (name, tensor.copy())).collect();
            model.forward_t(&image([2, 3, 32, 32]), true).mean(Kind::Float).backward();
            let after = store.variables();
            for (name, before) in before {
                let (of_encoder, running) = (name.starts_with("encoder."), name.contains("running"));
                assert_eq!(after[&name].equal(&before), !running || of_encoder, "{name}");
                assert_eq!(after[&name].grad().defined(), !(running || of_encoder && frozen), "{name}");
            }
        }
    }
}

#[test]
fn dropout_leaves_channels_out_in_training_only() {
    let store = VarStore::new(Device::Cpu);
    let config = Config::Unet(UNetConfig { common: Common { dropout: 0.5, ..Common::default() }, ..unet(8, 2) });
    let model = config.build(&store, 3, 2).unwrap();
    let x = image([1, 3, 16, 16]);
    let [a, b] = [0, 1].map(|_| model.forward_t(&x, false));
    assert!(a.equal(&b));
    let [a, b] = [0, 1].map(|_| model.forward_t(&x, true));
    assert!(!a.equal(&b));
}

#[test]
fn any_size_channels_and_classes_fit_in_every_variant() {
    for upsampling in [Upsampling::Transposed, Upsampling::Bilinear] {
        for precision in [Precision::Fp32, Precision::Tf32, Precision::Bf16, Precision::Fp16] {
            let store = VarStore::new(Device::Cpu);
            let (block, attention) = (Block::Residual, precision == Precision::Bf16);
            let common = common(precision);
            let config = Config::Unet(UNetConfig { upsampling, block, attention, common, ..unet(4, 3) });
            let model = config.build(&store, 2, 5).unwrap();
            for (height, width) in [(16, 24), (17, 9), (1, 1)] {
                let outputs = model.forward_t(&image([2, 2, height, width]), false);
                assert_eq!((outputs.size(), outputs.kind()), (vec![2, 5, height, width], Kind::Float));
            }
        }
    }
}

#[test]
fn networks_with_an_encoder_take_any_size_too() {
    let mobile = MobileNetV2UNetConfig { width_multiplier: 0.1, common: common(Precision::Bf16), ..Default::default() };
    let resnet = ResNetUNetConfig { layers: Layers::Fifty, ..Default::default() };
    for config in [Config::MobilenetV2Unet(mobile), Config::ResnetUnet(resnet)] {
        let store = VarStore::new(Device::Cpu);
        let model = config.build(&store, 1, 4).unwrap();
        for (height, width) in [(64, 32), (33, 70), (1, 1)] {
            let outputs = model.forward_t(&image([1, 1, height, width]), false);
            assert_eq!((outputs.size(), outputs.kind()), (vec![1, 4, height, width], Kind::Float));
        }
    }
}

#[test]
fn narrow_precisions_stay_close_to_fp32_and_leave_the_weights_alone() {
    let store = VarStore::new(Device::Cpu);
    let unet = UNet::new(&store.root(), 3, 3, &unet(8, 2));
    let mut model = Precise::new(Box::new(unet), &store, Precision::Fp32).unwrap();
    let x = image([2, 3, 16, 16]);
    let expected = model.forward_t(&x, false);
    // bf16 rounds at the 9th bit, fp16 at the 12th.
    for (precision, close) in [(Precision::Bf16, 1e-3..0.05), (Precision::Fp16, 1e-4..6e-3)] {
        model.precision = precision;
        let difference = (model.forward_t(&x, false) - &expected).norm() / expected.norm();
        let difference = difference.double_value(&[]);
        assert!(close.contains(&difference), "{precision:?}: {difference}");
    }
    assert!(store.trainable_variables().iter().all(|weight| weight.kind() == Kind::Float));
}

#[test]
fn weights_are_channels_last_and_so_are_their_gradients() {
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
fn impossible_values_are_named() {
    assert_eq!(config(32, 4).check(), Ok(()));
    assert_eq!(config(0, 4).check().unwrap_err().key, "width");
    assert_eq!(config(32, 0).check().unwrap_err().key, "depth");
    let error = config(1024, 5).check().unwrap_err().to_string();
    assert_eq!(error, "width: 1024 doubled 5 times is 32768 channels, more than 16384");
    let dropout = Common { dropout: 1.0, ..Common::default() };
    let dropout = Config::Unet(UNetConfig { common: dropout, ..UNetConfig::default() });
    assert_eq!(dropout.check().unwrap_err().key, "dropout");
    let mobile = MobileNetV2UNetConfig { width_multiplier: f64::NAN, ..MobileNetV2UNetConfig::default() };
    assert_eq!(Config::MobilenetV2Unet(mobile).check().unwrap_err().key, "width_multiplier");
    let weights = WeightsConfig { path: "file".into(), encoder_only: true, skip_head: false };
    let common = Common { weights: Some(Weights::Stored(weights)), ..Common::default() };
    let unet = Config::Unet(UNetConfig { common: common.clone(), ..UNetConfig::default() });
    assert_eq!(unet.check().unwrap_err().key, "weights.encoder_only");
    assert_eq!(Config::ResnetUnet(ResNetUNetConfig { common, ..ResNetUNetConfig::default() }).check(), Ok(()));
}

/// Returns outputs, gradients and running statistics after a training pass.
fn trained(config: &Config) -> Vec<(String, Tensor)> {
    let mut store = VarStore::new(Device::Cpu);
    let model = config.build(&store, 3, 2).unwrap();
    let values = (0..).zip(store.state()).map(|(seed, (name, old))| {
        let value = noise(&old.size(), seed);
        // Variances are above 0; weights small enough for sums of a few hundred.
        (name, if old.dim() == 1 { value.abs() + 0.5 } else { value * 0.1 })
    });
    store.load_state(&values.collect()).unwrap();
    let outputs = model.forward_t(&noise(&[2, 3, 32, 48], 1000), true);
    outputs.square().mean(Kind::Float).backward();
    let mut all = vec![("outputs".to_owned(), outputs.detach())];
    for (name, variable) in store.variables() {
        let found = if variable.requires_grad() { variable.grad() } else { variable.shallow_clone() };
        all.push((name, found));
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

#[test]
fn what_is_computed_twice_comes_out_the_same() {
    for precision in [Precision::Fp32, Precision::Bf16] {
        let networks = [false, true].map(|recompute| {
            let common = Common { precision, recompute, ..Common::default() };
            let gated = UNetConfig { block: Block::Residual, attention: true, common: common.clone(), ..unet(8, 2) };
            [Config::Unet(UNetConfig { common, ..unet(8, 2) }), Config::Unet(gated)]
        });
        for (kept, again) in networks[0].iter().zip(&networks[1]) {
            for ((name, kept), (_, again)) in trained(kept).into_iter().zip(trained(again)) {
                assert!(kept.equal(&again), "{precision:?}: {name} differs");
            }
        }
    }
    // Gradients of tensors that are read in three places are summed in another order.
    let networks = [false, true].map(|recompute| {
        let common = Common { recompute, ..Common::default() };
        let mobile = MobileNetV2UNetConfig { width_multiplier: 0.1, common: common.clone(), ..Default::default() };
        let resnet = ResNetUNetConfig { layers: Layers::Eighteen, common, ..Default::default() };
        [Config::MobilenetV2Unet(mobile), Config::ResnetUnet(resnet)]
    });
    for (kept, again) in networks[0].iter().zip(&networks[1]) {
        let [kept, again] = [kept, again].map(trained);
        // In front of a BatchNorm, gradients that should be zero are rounding noise: all are compared with the largest
        // value.
        let largest = kept.iter().map(|(_, of)| of.abs().max().double_value(&[])).fold(0.0, f64::max);
        for ((name, kept), (_, again)) in kept.into_iter().zip(again) {
            let same = name.contains("running") || name == "outputs";
            let difference = (&kept - &again).abs().max().double_value(&[]);
            assert!(if same { difference == 0.0 } else { difference < 1e-5 * largest }, "{name}: {difference:e}");
        }
    }
}
