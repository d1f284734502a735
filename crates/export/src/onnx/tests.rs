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
        onnx(&script, &Ports::of(&script).unwrap(), Numbers::F32, &path).unwrap();
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

/// Writes a network with these numbers, and returns what each runtime makes of `images`.
fn run(script: &Script, numbers: Numbers, images: &Tensor) -> (Vec<u8>, Vec<(&'static str, Tensor)>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    onnx(script, &Ports::of(script).unwrap(), numbers, &path).unwrap();
    let mut made = vec![("rten", Rten::open(&path, 1).unwrap().run(images).unwrap())];
    match OnnxRuntime::open(&path, library().as_deref()).unwrap() {
        Some(mut runtime) => made.push(("ONNX Runtime", runtime.run(images).unwrap())),
        None => eprintln!("skipped: ONNX Runtime is not there (scripts/python installs it)"),
    }
    (fs::read(path).unwrap(), made)
}

/// Returns the largest difference, relative to the largest expected value.
fn difference(found: &Tensor, expected: &Tensor) -> f64 {
    let greatest = |x: Tensor| x.abs().max().double_value(&[]);
    greatest(found - expected) / greatest(expected.shallow_clone())
}

#[test]
fn rten_gives_what_the_network_gives() {
    for config in networks() {
        let (network, script) = script(&config);
        let images = image(2, 64, 96);
        let _no_grad = tch::no_grad_guard();
        let expected = network.forward_t(&images, false);
        for (runtime, found) in run(&script, Numbers::F32, &images).1 {
            assert_eq!(found.size(), expected.size());
            assert!(difference(&found, &expected) <= 1e-4, "{config:?} in {runtime}");
        }
    }
}

#[test]
fn a_network_in_f16_is_half_as_large_and_nearly_the_same() {
    for config in networks() {
        let (network, script) = script(&config);
        let images = image(2, 64, 64);
        let _no_grad = tch::no_grad_guard();
        let expected = network.forward_t(&images, false);
        let (bytes, found) = run(&script, Numbers::F16, &images);
        let whole = run(&script, Numbers::F32, &images).0;
        assert!(bytes.len() * 10 < whole.len() * 7, "{config:?}: {} of {}", bytes.len(), whole.len());
        for (runtime, found) in found {
            let off = difference(&found, &expected);
            assert!((1e-6..1e-2).contains(&off), "{config:?} in {runtime}: {off}");
        }
    }
}

#[test]
fn a_network_in_8_bits_is_near_the_network_in_every_runtime() {
    for config in networks() {
        let (network, script) = script(&config);
        let images = image(2, 64, 64);
        let _no_grad = tch::no_grad_guard();
        let mut calibration = Calibration::default();
        for number in 0..2 {
            calibration.add(&script, &images.narrow(0, number, 1)).unwrap();
        }
        assert_eq!(calibration.images(), 2);
        let expected = network.forward_t(&images, false);
        let (bytes, found) = run(&script, Numbers::Int8(&calibration), &images);
        let model = ModelProto::decode(&*bytes).unwrap();
        let nodes = model.graph.unwrap().node;
        let count = |kind: &str| nodes.iter().filter(|node| node.op_type.as_deref() == Some(kind)).count();
        assert!(count("QuantizeLinear") > count("Conv") / 2 && count("DequantizeLinear") > count("QuantizeLinear"));
        for (runtime, found) in &found {
            let off = difference(found, &expected);
            // Weights and images are drawn anew in each run; of fifty layers some lose 0.3.
            assert!((1e-4..0.5).contains(&off), "{config:?} in {runtime}: {off}");
        }
        let outputs: Vec<&Tensor> = found.iter().map(|(_, output)| output).collect();
        if let [rten, runtime] = outputs[..] {
            // A sum that is rounded the other way is a whole step of 8 bits for all layers after it.
            assert!(difference(rten, runtime) < 0.15, "{config:?}: {}", difference(rten, runtime));
        }
    }
}

#[test]
fn values_that_are_not_finite_have_no_range() {
    let script = Script::follow(&image(1, 8, 8), |x| (x - 1.0).log()).unwrap();
    let error = Calibration::default().add(&script, &image(1, 8, 8)).unwrap_err().to_string();
    assert!(error.contains("not finite"), "{error}");
}

#[test]
fn what_cannot_be_translated_is_named_and_nothing_is_written() {
    type Forward = fn(&Tensor) -> Tensor;
    let ports = Ports { channels: 3, classes: 3, size: None };
    let cases: [(Forward, &str); 5] = [
        (|x| x.sigmoid().logsumexp([1], true), "aten::logsumexp has no translation"),
        (|x| x.upsample_bilinear2d([16, 16], false, 2.0, 2.0), "argument 3 is Some(Float(2.0)), not None"),
        (|x| x.avg_pool2d([3, 3], [2, 2], [0, 0], true, true, None), "argument 4 is Some(Int(1)), not 0"),
        (
            |x| {
                let same = x.view([1, 3, 64]);
                let _ = x.shallow_clone().relu_();
                same
            },
            "what it changes in place is used afterwards",
        ),
        (|x| x.f_batch_norm::<Tensor>(None, None, None, None, true, 0.1, 1e-5, false).unwrap(), "Some(Int(1)), not 0"),
    ];
    for (forward, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        let script = Script::follow(&image(1, 8, 8), forward).unwrap();
        let error = onnx(&script, &ports, Numbers::F32, &path).unwrap_err().to_string();
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
