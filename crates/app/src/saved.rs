//! `model.json`: what a saved network is, for those who run it, ourselves among them.

use crate::config::Config;
use crate::parts::Network;
use crate::report;
use crate::trained::Trained;
use crate::usage::usage;
use anyhow::{Context, Result, ensure};
use contract::Progress;
use data::Split;
use export::{Format, INPUT, OUTPUT};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use tch::CModule;
use tch::nn::VarStore;
use torch_ext::Kernels;

/// The file's name.
pub const DESCRIPTION: &str = "model.json";

/// The version of what is in it.
const VERSION: u64 = 1;

/// What we read of it again.
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

/// Where the network comes from.
#[derive(Debug, Deserialize)]
struct Origin {
    epoch: u64,
    step: u64,
    about: Value,
}

/// What the network is and comes from; `parity` and `files` are added once they are known.
pub fn description(trained: &Trained) -> Value {
    let Trained { config, checkpoint, progress, scores, about, .. } = trained;
    let data = &config.data;
    let tensor = |name: &str, channels: usize, values: &str| {
        let shape = json!([-1, channels, -1, -1]);
        json!({ "name": name, "kind": "f32", "shape": shape, "values": values })
    };
    json!({
        "format": VERSION,
        "classes": report::classes(data),
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
        files.insert(entry.file_name().to_string_lossy().into_owned(), sum(&entry.path())?);
    }
    description["files"] = serde_json::to_value(files)?;
    Ok(fs::write(folder.join(DESCRIPTION), format!("{description:#}\n"))?)
}

fn sum(path: &Path) -> Result<Sum> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok(Sum { bytes: path.metadata()?.len(), blake3: hasher.finalize().to_hex().to_string() })
}

/// Reads a saved network, which normalises images itself. Its data are those that it was trained with, with `changes`.
pub fn load(folder: &Path, changes: &[String]) -> Result<Trained> {
    let (path, script) = (folder.join(DESCRIPTION), folder.join(Format::TorchScript.file()));
    let none = |error| usage(format!("{} is no saved network: {DESCRIPTION}: {error}", folder.display()));
    let text = fs::read_to_string(&path).map_err(none)?;
    let Known { format, files, run } = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
    ensure!(format == VERSION, "{} has format {format}, and this program reads {VERSION}", path.display());
    let lacks = || usage(format!("{} has no model.pt: export it with --formats torchscript", folder.display()));
    let expected = files.get(Format::TorchScript.file()).ok_or_else(lacks)?;
    let found = sum(&script).with_context(|| script.display().to_string())?;
    ensure!(found == *expected, "{} is damaged: its checksum is not the one in {DESCRIPTION}", script.display());
    let config = Config::parse_saved(&run.about["config"].to_string(), &path.display().to_string())?;
    let config = config.with(&["data.normalize=null".into()])?.with(changes)?;
    let device = config.train.device()?;
    let model = CModule::load_on_device(&script, device).with_context(|| script.display().to_string())?;
    let classes = config.data.classes();
    let network =
        Network { store: VarStore::new(device), model: Box::new(model), device, kernels: Kernels::Libtorch, classes };
    log::info!("Using {} ({} epochs)", folder.display(), run.epoch);
    let progress = Progress { epoch: run.epoch, step: run.step, ..Progress::default() };
    Ok(Trained { config, network, checkpoint: folder.into(), progress, scores: BTreeMap::new(), about: run.about })
}
