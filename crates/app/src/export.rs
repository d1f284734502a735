//! `app export`: saves a trained network as files that other programs run, published as a whole.

mod compare;
mod version;

use crate::cli::{self, Which};
use crate::common::config::Config;
use crate::common::network::{Network, Trained};
use crate::common::origin;
use crate::common::output;
use crate::common::run::Run;
use crate::common::saved;
use crate::common::trained::{find, load};
use crate::common::usage::usage;
use anyhow::{Context, Result};
use compare::Loaded;
use contract::Stateful;
use export::{Format, INPUT, OUTPUT, Parity, Weights};
use serde_json::json;
use session::shell_quoted;
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor};
use version::Version;

/// Height and width of the example image that libtorch traces; every network halves it without a remainder.
const SIDE: i64 = 256;

/// `app export`
pub fn run(args: &cli::Export) -> Result<()> {
    let mut changes = args.set.clone();
    if !args.formats.is_empty() {
        changes.push(format!("export.formats={}", json!(args.formats)));
    }
    let folder = export(&args.trained, args.output.as_deref(), changes)?;
    output::show(&folder.display().to_string());
    Ok(())
}

/// Saves the network of the best checkpoint at the end of a training.
pub fn finished(run: &Run) -> Result<()> {
    let trained = cli::Trained { run: Some(run.folder.clone()), checkpoint: Which::Best };
    let folder = export(&trained, None, Vec::new()).with_context(|| {
        let (folder, quoted) = (run.folder.display(), shell_quoted(&run.folder));
        format!("{folder} is trained, and its network was not saved (to try again: app export --run {quoted})")
    })?;
    log::info!("Saved the network: {}", folder.display());
    Ok(())
}

/// Returns whether the best checkpoint of a finished run has no saved network yet.
pub fn is_due(run: &Run, config: &Config) -> Result<bool> {
    let (checkpoint, snapshot) = find(run, &Which::Best, config)?;
    let saved = version::all_of(&checkpoint)?;
    Ok(!saved.iter().any(|folder| saved::is_of(folder, &snapshot)))
}

/// Creates a version of a saved network and returns its folder.
fn export(which: &cli::Trained, output: Option<&Path>, mut changes: Vec<String>) -> Result<PathBuf> {
    // A saved network computes in f32, wherever it was trained.
    for (key, value) in [("model.precision", "fp32"), ("train.device", "cpu")] {
        let own = changes.iter().filter_map(|change| change.split_once('=')).find(|(own, _)| own.trim() == key);
        if let Some((_, other)) = own.filter(|(_, own)| own.trim() != value) {
            return Err(usage(format!(
                "--set {key}={other}: an export is made in f32 on the CPU and runs anywhere: leave {key} out"
            )));
        }
        changes.push(format!("{key}={value}"));
    }
    let mut trained = load(which, &changes)?;
    let version = Version::choose(output, &trained.checkpoint)?;
    // The description records the data section with the changes: its normalisation is the one in the files.
    let recorded = origin::recorded(&trained.about, &trained.checkpoint.display().to_string())?;
    trained.about["config"] = Config { data: trained.config.data.clone(), ..recorded }.saved()?;
    let triton = triton(&trained.config);
    version.publish(|folder| write(folder, trained), triton.as_deref())
}

/// Writes the formats into `folder`, compares them with the network, and writes their description.
fn write(folder: &Path, trained: Trained) -> Result<()> {
    let mut description = saved::description(&trained);
    let Trained { config, network: Network { mut store, model, .. }, .. } = trained;
    let export::Config { formats, weights, samples, .. } = &config.export;
    let (channels, classes) = (config.data.channels().into(), config.data.classes().len() as i64);
    let state = store.state();
    store.freeze();
    let network = ::saved::normalized(model, &config.data, Device::Cpu)?;
    let example = Tensor::f_zeros([1, channels, SIDE, SIDE], (Kind::Float, Device::Cpu))?;
    let file = |format: Format| folder.join(format.file());
    let script = export::follow(&network, &example)?;
    let mut loaded = Vec::new();
    for format in formats {
        let path = file(*format);
        let tolerance = if *format == Format::Safetensors { *weights } else { Weights::Fp32 }.tolerance();
        let run = match format {
            Format::TorchScript => {
                export::torchscript(&script, &path)?;
                Some(compare::torchscript(&path)?)
            }
            Format::Onnx => {
                export::onnx(&script, channels, classes, &path)?;
                compare::onnx(&path)?
            }
            Format::Safetensors => {
                ::saved::write_weights(&path, &state, weights.kind())?;
                Some(compare::safetensors(&path, &config)?)
            }
        };
        loaded.push(Loaded { format: *format, tolerance, run, parity: Parity::default() });
    }
    description.parity = compare::compare(&network, loaded, &config.data, *samples)?;
    Ok(description.write(folder)?)
}

/// Returns the configuration that Triton's inference server needs for all versions of a model; None if it can run no
/// format.
fn triton(config: &Config) -> Option<String> {
    let formats = &config.export.formats;
    let platform = match (formats.contains(&Format::TorchScript), formats.contains(&Format::Onnx)) {
        (true, _) => "pytorch_libtorch",
        (_, true) => "onnxruntime_onnx",
        _ => return None,
    };
    let tensor = |name: &str, channels: usize| {
        format!(
            "[\n  {{\n    name: \"{name}\"\n    data_type: TYPE_FP32\n    dims: [ -1, {channels}, -1, -1 ]\n  }}\n]"
        )
    };
    let (input, output) = (tensor(INPUT, config.data.channels() as usize), tensor(OUTPUT, config.data.classes().len()));
    Some(format!("platform: \"{platform}\"\nmax_batch_size: 0\ninput {input}\noutput {output}\n"))
}
