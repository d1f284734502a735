//! `app export`: saves a trained network as files that other programs run, published as a whole.

mod compare;
mod int8;
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
use ::saved::Description;
use anyhow::{Context, Result, bail};
use compare::Loaded;
use contract::{StateDict, Stateful};
use export::{Format, INPUT, Normalized, Numbers, OUTPUT, Parity, Ports, Precision, Script};
use serde_json::json;
use session::shell_quoted;
use std::fs;
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor};
use version::Version;

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
    let traced = Traced::of(trained)?;
    let triton = triton(&traced.config, &traced.ports);
    version.publish(|folder| traced.write(folder), triton.as_deref())
}

/// Name of the file in f32 that an INT8 file is compared with; it is not published.
const REFERENCE: &str = "reference.onnx";

/// A network that libtorch traced.
struct Traced {
    config: Config,
    description: Description,
    state: StateDict,
    network: Normalized,
    script: Script,
    ports: Ports,
}

impl Traced {
    fn of(trained: Trained) -> Result<Self> {
        let mut description = saved::description(&trained);
        let Trained { config, network: Network { mut store, model, .. }, .. } = trained;
        let state = store.state();
        store.freeze();
        let network = ::saved::normalized(model, &config.data, Device::Cpu)?;
        // Of the size of training: some networks take no other.
        let [height, width] = config.data.size().map(i64::from);
        let example = Tensor::f_zeros([1, config.data.channels().into(), height, width], (Kind::Float, Device::Cpu))?;
        let script = export::follow(&network, &example)?;
        let ports = Ports::of(&script)?;
        if let Some([height, width]) = ports.size {
            log::info!(
                "The network takes images of {height}×{width} pixels only, and so do the files for other programs"
            );
            description.fix_size([height, width]);
        }
        Ok(Self { config, description, state, network, script, ports })
    }

    /// Writes the formats into `folder`, compares them with the network, and writes their description.
    fn write(mut self, folder: &Path) -> Result<()> {
        let mut loaded = Vec::new();
        for format in &self.config.export.formats {
            loaded.push(self.format(*format, folder)?);
        }
        self.description.parity = compare::compare(&self.network, loaded, &self.config)?;
        Ok(self.description.write(folder)?)
    }

    /// Writes a format and loads it again.
    fn format(&self, format: Format, folder: &Path) -> Result<Loaded> {
        let Self { config, state, script, ports, .. } = self;
        let path = folder.join(format.file());
        let loaded = |tolerance, run| Loaded { format, tolerance, run, parity: Parity::default(), mean_iou: None };
        Ok(match format {
            Format::TorchScript => {
                export::torchscript(script, &path)?;
                loaded(Some(Precision::Fp32.tolerance()), Some(compare::torchscript(&path)?))
            }
            Format::Onnx => {
                let numbers = match config.export.onnx {
                    Precision::Fp32 => Numbers::F32,
                    Precision::Fp16 => Numbers::F16,
                };
                export::onnx(script, ports, numbers, &path)?;
                loaded(Some(config.export.onnx.tolerance()), compare::onnx(&path)?)
            }
            Format::Safetensors => {
                let weights = config.export.weights;
                ::saved::write_weights(&path, state, weights.kind())?;
                loaded(Some(weights.tolerance()), Some(compare::safetensors(&path, config)?))
            }
            Format::Int8 => {
                export::onnx(script, ports, Numbers::Int8(&int8::calibrate(script, config)?), &path)?;
                let reference = folder.join(REFERENCE);
                export::onnx(script, ports, Numbers::F32, &reference)?;
                let runs = (compare::onnx(&reference)?, compare::onnx(&path)?);
                fs::remove_file(&reference).with_context(|| reference.display().to_string())?;
                let (Some(mut expected), Some(mut run)) = runs else {
                    bail!("{} is not published unmeasured: its mean IoU needs an ONNX Runtime", format.file());
                };
                let mean_iou = Some(int8::check([&mut expected, &mut run], config)?);
                Loaded { mean_iou, ..loaded(None, Some(run)) }
            }
        })
    }
}

/// Returns the configuration that Triton's inference server needs for all versions of a model; None if it can run no
/// format.
fn triton(config: &Config, ports: &Ports) -> Option<String> {
    let formats = &config.export.formats;
    let (platform, file) = if formats.contains(&Format::TorchScript) {
        ("pytorch_libtorch", String::new())
    } else if formats.contains(&Format::Onnx) {
        ("onnxruntime_onnx", String::new())
    } else if formats.contains(&Format::Int8) {
        // Triton takes no other name than model.onnx for granted.
        ("onnxruntime_onnx", format!("default_model_filename: \"{}\"\n", Format::Int8.file()))
    } else {
        return None;
    };
    let [height, width] = ports.size.unwrap_or([-1, -1]);
    let tensor = |name: &str, channels: i64| {
        let dims = format!("[ -1, {channels}, {height}, {width} ]");
        format!("[\n  {{\n    name: \"{name}\"\n    data_type: TYPE_FP32\n    dims: {dims}\n  }}\n]")
    };
    let (input, output) = (tensor(INPUT, ports.channels), tensor(OUTPUT, ports.classes));
    Some(format!("platform: \"{platform}\"\n{file}max_batch_size: 0\ninput {input}\noutput {output}\n"))
}
