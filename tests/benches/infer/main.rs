//! Prediction rate of a trained network, in images per second. `scripts/bench infer` builds and runs this, and lists
//! the measurements.
//!
//! All contestants take turns in every round, on the same network and the same images. Every round begins with another
//! one. The first round warms up and does not count. Before that, each has to predict the network's classes.

#[path = "../common/mod.rs"]
mod common;

use common::{Outcome, Peers, Table, load};
use export::{Normalized, Numbers, Ports, follow, onnx, torchscript};
use model::Precision;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tch::nn::{ModuleT, VarStore};
use tch::{CModule, Device, Kind, Tensor};

/// Returns name, configuration, side of the images in pixels, and images in a batch.
fn tasks() -> [(&'static str, serde_json::Value, i64, i64); 4] {
    let unet = json!({ "kind": "unet", "width": 32, "depth": 4 });
    let mobile = json!({ "kind": "mobilenet_v2_unet" });
    [
        ("unet-128", unet.clone(), 128, 8),
        ("unet-256", unet, 256, 4),
        ("mobilenet-128", mobile.clone(), 128, 8),
        ("mobilenet-256", mobile, 256, 4),
    ]
}

const CLASSES: i64 = 3;

/// Approximate duration of a turn in seconds.
const TURN: f64 = 1.5;

/// Share of pixels in which every contestant must give the class that the network gives in f32, for f32 and for bf16:
/// an untrained network is often undecided.
const AGREEMENT: [f64; 2] = [0.999, 0.9];

/// oxiseg with a run's network (f32 or bf16) or with a saved one, or a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Contestant {
    Fp32,
    Bf16,
    Saved,
    Torch,
    TorchBf16,
    Frozen,
    OnnxRuntime,
    OpenVino,
    OpenVinoBf16,
}

use Contestant::*;
const CONTESTANTS: [Contestant; 9] = [Fp32, Saved, Torch, Frozen, OnnxRuntime, OpenVino, Bf16, TorchBf16, OpenVinoBf16];

impl Contestant {
    /// Returns its name in the table, and its name for Python.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Fp32 => ("oxiseg, fp32", ""),
            Bf16 => ("oxiseg, bf16", ""),
            Saved => ("oxiseg, saved model", ""),
            Torch => ("PyTorch, our model.pt, NHWC", "torch"),
            TorchBf16 => ("PyTorch, our model.pt, autocast", "torch-bf16"),
            Frozen => ("PyTorch, our model.pt", "frozen"),
            OnnxRuntime => ("ONNX Runtime, our model.onnx", "onnxruntime"),
            OpenVino => ("OpenVINO f32, our model.onnx", "openvino-f32"),
            OpenVinoBf16 => ("OpenVINO bf16, our model.onnx", "openvino-bf16"),
        }
    }

    fn is_bf16(self) -> bool {
        matches!(self, Bf16 | TorchBf16 | OpenVinoBf16)
    }
}

/// A network to predict with, and the images.
struct Task {
    name: &'static str,
    images: Tensor,
    own: BTreeMap<Contestant, Box<dyn ModuleT>>,
    /// Variables of the networks, which must live as long.
    _stores: Vec<VarStore>,
}

impl Task {
    /// Makes the network, and its files and images in `folder`.
    fn new(folder: &Path, (name, config, side, batch): (&'static str, serde_json::Value, i64, i64)) -> Outcome<Self> {
        let folder = folder.join(name);
        std::fs::create_dir(&folder)?;
        let images = Tensor::rand([batch, 3, side, side], (Kind::Float, Device::Cpu));
        let (mut own, mut stores): (BTreeMap<_, Box<dyn ModuleT>>, Vec<VarStore>) = (BTreeMap::new(), Vec::new());
        for (contestant, precision) in [(Fp32, Precision::Fp32), (Bf16, Precision::Bf16)] {
            let mut config = config.clone();
            config["precision"] = serde_json::to_value(precision)?;
            let config: model::Config = serde_json::from_value(config)?;
            let mut store = VarStore::new(Device::Cpu);
            tch::manual_seed(1);
            let network = config.build(&store, 3, CLASSES)?;
            store.freeze();
            own.insert(contestant, network);
            stores.push(store);
        }
        let network = own.remove(&Fp32).ok_or("no network")?;
        // Running statistics that fit the weights; otherwise all pixels would have one class.
        tch::no_grad(|| (0..20).for_each(|_| drop(network.forward_t(&images, true))));
        if let [plain, rounded] = &mut stores[..] {
            rounded.copy(plain)?;
        }
        let network = Normalized::new(network, None, Device::Cpu)?;
        let script = folder.join("model.pt");
        let followed = follow(&network, &images.narrow(0, 0, 1))?;
        torchscript(&followed, &script)?;
        onnx(&followed, &Ports::of(&followed)?, Numbers::F32, &folder.join("model.onnx"))?;
        own.insert(Saved, Box::new(CModule::load(&script)?));
        let classes = tch::no_grad(|| network.forward_t(&images, false)).argmax(1, false);
        images.write_npy(folder.join("images.npy"))?;
        classes.write_npy(folder.join("classes.npy"))?;
        own.insert(Fp32, Box::new(network));
        Ok(Self { name, images, own, _stores: stores })
    }

    /// Returns the rate in images per second.
    fn own(&self, contestant: Contestant) -> Outcome<f64> {
        let network = self.own.get(&contestant).ok_or("no such network")?;
        let _no_grad = tch::no_grad_guard();
        let (start, mut images) = (Instant::now(), 0);
        while start.elapsed().as_secs_f64() < TURN {
            // Every contestant has to return the class of each pixel.
            let classes = network.forward_t(&self.images, false).f_argmax(1, false)?;
            images += classes.size()[0];
        }
        Ok(images as f64 / start.elapsed().as_secs_f64())
    }

    fn agreement(&self, contestant: Contestant) -> f64 {
        let classes =
            |contestant| tch::no_grad(|| self.own[&contestant].forward_t(&self.images, false)).argmax(1, false);
        classes(contestant).eq_tensor(&classes(Fp32)).to_kind(Kind::Double).mean(Kind::Double).double_value(&[])
    }
}

fn main() -> Outcome<()> {
    torch_ext::tune_allocator();
    torch_ext::tune_openmp();
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    let parent = PathBuf::from(args.next().ok_or("usage: scripts/bench infer [FOLDER [ROUNDS]]")?);
    let rounds: usize = args.next().map_or(Ok(5), |rounds| rounds.parse())?;
    let folder = tempfile::tempdir_in(&parent)?;
    let tasks = tasks().map(|task| Task::new(folder.path(), task)).into_iter().collect::<Outcome<Vec<Task>>>()?;
    let mut peers = BTreeMap::new();
    for contestant in CONTESTANTS.into_iter().filter(|contestant| !contestant.names().1.is_empty()) {
        let arguments = [contestant.names().1.as_ref(), folder.path().as_os_str()];
        if let Some(peer) = Peers::start("infer/peers.py", &arguments)? {
            peers.insert(contestant, peer);
        }
    }
    for task in &tasks {
        for contestant in CONTESTANTS {
            let agreement = match peers.get_mut(&contestant) {
                Some(peer) => peer.ask(&format!("agreement {}", task.name))?,
                None if task.own.contains_key(&contestant) => task.agreement(contestant),
                None => continue,
            };
            if agreement < AGREEMENT[usize::from(contestant.is_bf16())] {
                return Err(format!("{contestant:?} gives other classes for {}: {agreement}", task.name).into());
            }
        }
    }
    let names: Vec<&str> = tasks.iter().map(|task| task.name).collect();
    let mut table = Table::new("infer", "Images a second", false, &names);
    let mut rows = BTreeMap::new();
    for contestant in CONTESTANTS {
        let against = if contestant.is_bf16() { Bf16 } else { Fp32 };
        let against = rows.get(&against).copied().filter(|_| !contestant.names().1.is_empty());
        rows.insert(contestant, table.row(contestant.names().0, against));
    }
    for round in 0..=rounds {
        for (number, task) in tasks.iter().enumerate() {
            for i in 0..CONTESTANTS.len() {
                let contestant = CONTESTANTS[(round + i) % CONTESTANTS.len()];
                let rate = match peers.get_mut(&contestant) {
                    Some(peer) => peer.ask(&format!("rate {} {TURN}", task.name))?,
                    None if task.own.contains_key(&contestant) => task.own(contestant)?,
                    None => continue,
                };
                table.add(rows[&contestant], number, rate);
            }
        }
        match round {
            0 => table.clear(),
            _ => eprintln!("round {round} of {rounds}, load {}", load()),
        }
    }
    table.publish(&parent)
}
