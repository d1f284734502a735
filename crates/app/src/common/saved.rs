//! `model.json`: the description of a saved network, for all who run it, this program included.

use crate::common::config::Config;
use crate::common::network::{Network, Trained};
use crate::common::origin;
use crate::common::output;
use crate::common::usage::usage;
use anyhow::{Context, Result, ensure};
use checkpoint::Snapshot;
use contract::{Progress, StateDict, Stateful};
use data::Split;
use export::{Format, Frozen, INPUT, OUTPUT};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use tch::nn::VarStore;
use tch::{Kind, Tensor};
use torch_ext::Kernels;

/// Name of the file.
pub const DESCRIPTION: &str = "model.json";

/// Version of its format.
const VERSION: u64 = 1;

/// Maximum number of bytes that are read of it: thousands of times what is written.
const LONGEST: u64 = 16 << 20;

/// Fields of it that this program reads.
#[derive(Debug, Deserialize)]
struct Known {
    format: u64,
    files: BTreeMap<String, Sum>,
    run: Origin,
}

/// A file's size and checksum.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Sum {
    bytes: u64,
    blake3: String,
}

/// Origin of the network.
#[derive(Debug, Deserialize)]
struct Origin {
    epoch: u64,
    step: u64,
    about: Value,
}

/// Returns the description of the network and its origin; `parity` and `files` are added once they are known.
pub fn description(trained: &Trained) -> Value {
    let Trained { config, checkpoint, progress, scores, about, .. } = trained;
    let data = &config.data;
    let tensor = |name: &str, channels: usize, values: &str| {
        let shape = json!([-1, channels, -1, -1]);
        json!({ "name": name, "kind": "f32", "shape": shape, "values": values })
    };
    json!({
        "format": VERSION,
        "classes": output::classes(data),
        "input": tensor(INPUT, data.channels() as usize, "RGB or grey, from 0 to 1"),
        "output": tensor(OUTPUT, data.classes().len(), "logits"),
        "size": data.size(),
        "resize": data.resize(),
        "normalize": data.pipeline(Split::Validation).normalize,
        "scores": scores,
        "run": {
            "checkpoint": checkpoint.display().to_string(),
            "epoch": progress.epoch,
            "step": progress.step,
            "about": about,
        },
    })
}

/// Writes the description into `folder`, with the checksums of the files that are there.
pub fn write(folder: &Path, mut description: Value) -> Result<()> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        files.insert(entry.file_name().to_string_lossy().into_owned(), sum(regular::open(&entry.path())?)?);
    }
    description["files"] = serde_json::to_value(files)?;
    Ok(fs::write(folder.join(DESCRIPTION), format!("{description:#}\n"))?)
}

/// Returns whether the network saved in `folder` is that of `snapshot`: the same training at the same step.
pub fn is_of(folder: &Path, snapshot: &Snapshot) -> bool {
    let text = read(&folder.join(DESCRIPTION), LONGEST).ok();
    let known: Option<Known> = text.and_then(|text| serde_json::from_slice(&text).ok());
    // A description has the configuration in the format of the program that saved it.
    let config = |about: &Value| origin::recorded(about, "").ok();
    known.is_some_and(|Known { run: Origin { epoch, step, about }, .. }| {
        (epoch, step) == (snapshot.progress.epoch, snapshot.progress.step)
            && about["data"] == snapshot.about["data"]
            && config(&about).is_some_and(|saved| Some(saved) == config(&snapshot.about))
    })
}

fn sum(content: impl Read) -> Result<Sum> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(content)?;
    Ok(Sum { bytes: hasher.count(), blake3: hasher.finalize().to_hex().to_string() })
}

/// Loads a saved network. Its configuration, data included, is the one it was trained with, with `changes`.
///
/// Nothing in it is executed, and it names no place that anything is written to. The network is rebuilt with the
/// weights of `model.safetensors`; only if that was not saved, its `model.pt` is read, as data too.
pub fn load(folder: &Path, changes: &[String]) -> Result<Trained> {
    let path = folder.join(DESCRIPTION);
    let none = |error| usage(format!("{} is no saved network: {DESCRIPTION}: {error}", folder.display()));
    let text = read(&path, LONGEST).map_err(none)?;
    let Known { format, files, run } = serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
    ensure!(format == VERSION, "{} has format {format}, and this program reads {VERSION}", path.display());
    let config = origin::recorded(&run.about, &path.display().to_string())?.elsewhere()?;
    // A saved network computes in f32, wherever it was trained.
    let config = config.with(&["model.precision=fp32".into()])?;
    let found = [Format::Safetensors, Format::TorchScript]
        .into_iter()
        .find_map(|format| Some((format, files.get(format.file())?)));
    let (format, expected) = found.ok_or_else(|| {
        usage(format!("{} has neither model.safetensors nor model.pt: export it with one of them", folder.display()))
    })?;
    let file = folder.join(format.file());
    let bytes = read(&file, expected.bytes).with_context(|| file.display().to_string())?;
    ensure!(sum(&*bytes)? == *expected, "{} is damaged: its checksum is not the one in {DESCRIPTION}", file.display());
    let (config, network) = match format {
        Format::TorchScript => {
            // It normalises images itself.
            let config = config.with(&["data.normalize=null".into()])?.with(changes)?;
            let (device, classes) = (config.train.device()?, config.data.classes());
            let model = Frozen::read(&file, &bytes, &weights::constants(&file, &bytes)?, device)?;
            let store = VarStore::new(device);
            (config, Network { store, model: Box::new(model), device, kernels: Kernels::Libtorch, classes })
        }
        _ => {
            let config = config.with(changes)?;
            let network = rebuilt(&config, weights::parse(&file, &bytes)?);
            let network = network.with_context(|| format!("{} with {DESCRIPTION}", file.display()))?;
            (config, network)
        }
    };
    log::info!("Using {} ({} epochs)", file.display(), run.epoch);
    let progress = Progress { epoch: run.epoch, step: run.step, ..Progress::default() };
    Ok(Trained { config, network, checkpoint: folder.into(), progress, scores: BTreeMap::new(), about: run.about })
}

/// Builds the network of a configuration with the weights of a `model.safetensors`, which may have 16 bits.
pub fn rebuilt(config: &Config, weights: StateDict) -> Result<Network> {
    let network = Network::build(config)?;
    let float = |(name, tensor): (String, Tensor)| Ok((name, tensor.f_to_kind(Kind::Float)?));
    contract::load(&network.store.state(), &weights.into_iter().map(float).collect::<Result<_>>()?)?;
    Ok(network)
}

/// Reads at most `most` + 1 bytes of a regular file: a file that grows, or a pipe, would take memory or time without
/// end.
fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    regular::open(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}
