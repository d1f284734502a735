use super::*;
use crate::{Normalized, follow};
use model::{Block, Config, Layers, MobileNetV2UNetConfig, ResNetUNetConfig, UNetConfig, Upsampling};
use std::path::PathBuf;
use tch::nn::{ModuleT, VarStore};
use tch::{Device, Kind, Tensor};

/// Returns networks that together have every operator of our networks.
fn networks() -> [Config; 5] {
    let unet = UNetConfig { width: 4, depth: 2, ..UNetConfig::default() };
    let block = Block::Residual;
    let bilinear = UNetConfig { upsampling: Upsampling::Bilinear, attention: true, block, ..unet.clone() };
    let mobile = MobileNetV2UNetConfig { width_multiplier: 0.1, ..MobileNetV2UNetConfig::default() };
    let resnet = |layers| Config::ResnetUnet(ResNetUNetConfig { layers, ..ResNetUNetConfig::default() });
    [
        Config::Unet(unet),
        Config::Unet(bilinear),
        Config::MobilenetV2Unet(mobile),
        resnet(Layers::Eighteen),
        resnet(Layers::Fifty),
    ]
}

fn image(n: i64, height: i64, width: i64) -> Tensor {
    Tensor::rand([n, 3, height, width], (Kind::Float, Device::Cpu))
}

/// Returns ONNX Runtime's library, if scripts/python has installed it.
fn library() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.python/onnxruntime/capi");
    let mut files = fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    files.find(|path| path.to_string_lossy().contains("libonnxruntime.so"))
}

/// Traces a network whose statistics differ from a fresh BatchNorm's.
fn script(config: &Config) -> (Normalized, Script) {
    let mut store = VarStore::new(Device::Cpu);
    let network = config.build(&store, 3, 4).unwrap();
    tch::no_grad(|| {
        for _ in 0..3 {
            let _ = network.forward_t(&(image(2, 64, 64) * 3.0), true);
        }
    });
    store.freeze();
    let network = Normalized::new(network, Some([&[0.5, 0.4, 0.3], &[0.2, 0.3, 0.4]]), Device::Cpu).unwrap();
    let script = follow(&network, &image(1, 64, 64)).unwrap();
    (network, script)
}

#[test]
fn onnx_runtime_gives_what_the_network_gives_for_any_batch_and_size() {
    let mut seen = 0;
    for config in networks() {
        let folder = tempfile::tempdir().unwrap();
        let (network, script) = script(&config);
        let path = folder.path().join("model.onnx");
        onnx(&script, 3, 4, &path).unwrap();
        let Some(mut loaded) = OnnxRuntime::open(&path, library().as_deref()).unwrap() else { continue };
        seen += 1;
        for images in [image(1, 64, 64), image(3, 64, 64), image(1, 96, 160)] {
            let _no_grad = tch::no_grad_guard();
            let (expected, found) = (network.forward_t(&images, false), loaded.run(&images).unwrap());
            assert_eq!(found.size(), expected.size());
            let worst = (&expected - found).abs().max().double_value(&[]);
            let largest = expected.abs().max().double_value(&[]);
            assert!(worst <= 1e-4 * largest, "{config:?}, {:?}: {worst:e} of {largest}", images.size());
        }
    }
    if seen == 0 {
        eprintln!("skipped: ONNX Runtime is not there (scripts/python installs it)");
    }
}

#[test]
fn what_cannot_be_translated_is_named_and_nothing_is_written() {
    type Forward = fn(&Tensor) -> Tensor;
    let cases: [(Forward, &str); 3] = [
        (|x| x.sigmoid().logsumexp([1], true), "aten::logsumexp has no translation"),
        (|x| x.upsample_bilinear2d([16, 16], false, None, None), "an upsampling to a size, not by factors"),
        (|x| x.f_batch_norm::<Tensor>(None, None, None, None, true, 0.1, 1e-5, false).unwrap(), "Some(Int(1)), not 0"),
    ];
    for (forward, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        let script = Script::follow(&image(1, 8, 8), forward).unwrap();
        let error = onnx(&script, 3, 3, &path).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!path.exists());
    }
}

#[test]
fn a_library_or_a_file_that_is_none_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.onnx");
    fs::write(&file, "no network").unwrap();
    if let Some(library) = library() {
        let error = OnnxRuntime::open(&file, Some(&library)).unwrap_err().to_string();
        assert!(error.starts_with("ONNX Runtime on") && error.contains("model.onnx"), "{error}");
    }
}
