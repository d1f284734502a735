//! Segmenters with transformers, ConvNeXt, and the decoders that go with them, in every format and runtime.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use export::{Frozen, Normalized, Numbers, OnnxRuntime, Ports, Rten, follow, onnx, torchscript};
use model::{
    Backbone, BackboneConfig, Config, DecoderConfig, PspnetConfig, SegformerConfig, SegmenterConfig, UpernetConfig,
};
use std::fs;
use std::path::{Path, PathBuf};
use tch::nn::{ModuleT, VarStore};
use tch::{CModule, Device, Kind, Tensor};

/// Largest difference, relative to the largest logit.
const TOLERANCE: f64 = 1e-4;

/// Every architecture with a decoder, height and width of the example, and true if any other size is taken too.
fn networks() -> [(Backbone, DecoderConfig, [i64; 2], bool); 5] {
    let segformer = || DecoderConfig::Segformer(SegformerConfig { channels: 64 });
    let upernet = || DecoderConfig::Upernet(UpernetConfig { channels: 32 });
    let pspnet = || DecoderConfig::Pspnet(PspnetConfig { channels: 64 });
    [
        (Backbone::MitB0, segformer(), [64, 96], true),
        (Backbone::ConvnextTiny, segformer(), [64, 96], true),
        (Backbone::Resnet18, upernet(), [64, 96], false),
        (Backbone::VitSmallPatch14Dinov2, upernet(), [56, 84], false),
        (Backbone::VitSmallPatch16Dinov3, pspnet(), [64, 96], false),
    ]
}

/// Returns ONNX Runtime's library, if scripts/python has installed it.
fn library() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.python/onnxruntime/capi");
    let mut files = fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    files.find(|path| path.to_string_lossy().contains("libonnxruntime.so"))
}

fn images(n: i64, height: i64, width: i64) -> Tensor {
    Tensor::rand([n, 3, height, width], (Kind::Float, Device::Cpu))
}

/// Makes a network whose statistics and LayerScale differ from fresh ones.
fn built(name: Backbone, decoder: DecoderConfig, [height, width]: [i64; 2]) -> Normalized {
    let encoder = BackboneConfig { name, ..BackboneConfig::default() };
    let config = Config::Segmenter(SegmenterConfig { encoder, decoder, ..SegmenterConfig::default() });
    let mut store = VarStore::new(Device::Cpu);
    let network = config.build(&store, 3, 4).unwrap();
    let _no_grad = tch::no_grad_guard();
    for (name, mut tensor) in store.variables() {
        if name.contains("gamma") || name.ends_with("layer_scale") {
            let _ = tensor.fill_(0.5);
        }
    }
    for _ in 0..3 {
        let _ = network.forward_t(&(images(2, height, width) * 3.0), true);
    }
    store.freeze();
    Normalized::new(network, Some([&[0.5, 0.4, 0.3], &[0.2, 0.3, 0.4]]), Device::Cpu).unwrap()
}

#[test]
fn files_give_what_the_network_gives_in_every_runtime_for_any_batch() {
    for (name, decoder, [height, width], any) in networks() {
        let network = built(name, decoder, [height, width]);
        let script = follow(&network, &images(1, height, width)).unwrap();
        let ports = Ports::of(&script).unwrap();
        assert_eq!(ports, Ports { channels: 3, classes: 4, size: (!any).then_some([height, width]) }, "{name:?}");
        let folder = tempfile::tempdir().unwrap();
        let [model, graph] = ["model.pt", "model.onnx"].map(|file| folder.path().join(file));
        torchscript(&script, &model).unwrap();
        onnx(&script, &ports, Numbers::F32, &graph).unwrap();
        let bytes = fs::read(&model).unwrap();
        let read = Frozen::read(&model, &bytes, &weights::constants(&model, &bytes).unwrap(), Device::Cpu).unwrap();
        let (run, rten) = (CModule::load(&model).unwrap(), Rten::open(&graph, 1).unwrap());
        let mut runtime = OnnxRuntime::open(&graph, library().as_deref()).unwrap();
        if runtime.is_none() {
            eprintln!("skipped: ONNX Runtime is not there (scripts/python installs it)");
        }
        let mut inputs = vec![images(1, height, width), images(3, height, width)];
        if any {
            inputs.push(images(2, 96, 128));
        }
        let _no_grad = tch::no_grad_guard();
        for images in inputs {
            let expected = network.forward_t(&images, false);
            let mut found = vec![
                ("libtorch", run.forward_ts(&[&images]).unwrap()),
                ("the reader", read.run(&images).unwrap()),
                ("rten", rten.run(&images).unwrap()),
            ];
            found.extend(runtime.as_mut().map(|runtime| ("ONNX Runtime", runtime.run(&images).unwrap())));
            for (runtime, found) in found {
                assert_eq!(found.size(), expected.size());
                let greatest = |x: &Tensor| x.abs().max().double_value(&[]);
                let off = greatest(&(found - &expected)) / greatest(&expected);
                println!("{name:?}, {:?} in {runtime}: off by {off:.1e}", images.size());
                assert!(off <= TOLERANCE, "{name:?}, {:?} in {runtime}: off by {off:.1e}", images.size());
            }
        }
    }
}
