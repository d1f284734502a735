//! `app export`: a trained network as files that others run, published as a whole.

mod version;

use crate::cli;
use crate::parts::Network;
use crate::report;
use crate::trained::{Trained, load};
use anyhow::{Context, Error, Result, bail};
use contract::{Input, Stateful};
use data::{Loader, LoaderConfig, Order, Split};
use export::{Normalized, Parity};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use tch::nn::ModuleT;
use tch::{CModule, Device, Kind, Tensor};
use version::Version;

/// The sides of the example that libtorch follows: what every network halves without a rest.
const SIDE: i64 = 256;

/// `app export`
pub fn run(args: &cli::Export) -> Result<()> {
    // A saved network computes in f32, wherever it was trained.
    let trained = load(&args.trained, &["model.precision=fp32".into(), "train.device=cpu".into()])?;
    let version = Version::choose(args.output.as_deref(), &trained.checkpoint)?;
    let data = &trained.config.data;
    let mut saved = description(&trained);
    let Network { mut store, model, .. } = trained.network;
    let weights = store.state();
    store.freeze();
    let network = normalized(model, data, Device::Cpu)?;
    let channels = i64::from(data.channels());
    let example = Tensor::f_zeros([1, channels, SIDE, SIDE], (Kind::Float, Device::Cpu))?;
    let write = |folder: &Path| {
        let script = folder.join("model.pt");
        export::torchscript(&network, &example, &script)?;
        saved["parity"]["model.pt"] = compare(&network, &script, data, args.samples)?;
        let plain = weights.iter().map(|(name, tensor)| Ok((name, tensor.f_contiguous()?)));
        let plain: Vec<_> = plain.collect::<Result<_>>()?;
        Tensor::write_safetensors(&plain, folder.join("model.safetensors"))?;
        Ok(fs::write(folder.join("model.json"), format!("{saved:#}\n"))?)
    };
    version.publish(write, &triton(channels, data.classes().len()))?;
    report::print(&version.folder.display().to_string())
}

/// A network that takes images from 0 to 1, as they are before the data's normalisation.
pub fn normalized(model: Box<dyn ModuleT>, data: &data::Config, device: Device) -> Result<Normalized> {
    let normalize = data.pipeline(Split::Validation).normalize;
    let constants = normalize.as_ref().map(|normalize| [normalize.mean.as_slice(), &normalize.std]);
    Ok(Normalized::new(model, constants, device)?)
}

/// What the network is and comes from.
fn description(trained: &Trained) -> Value {
    let Trained { config, checkpoint, progress, scores, about, .. } = trained;
    let data = &config.data;
    let tensor = |name: &str, channels: usize, values: &str| {
        let shape = json!([-1, channels, -1, -1]);
        json!({ "name": name, "kind": "f32", "shape": shape, "values": values })
    };
    json!({
        "format": 1,
        "classes": report::classes(data),
        "input": tensor("input__0", data.channels() as usize, "RGB or grey, from 0 to 1"),
        "output": tensor("output__0", data.classes().len(), "logits"),
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

/// Compares the saved network with the live one on validation samples; an error unless they are the same but for rounding.
fn compare(network: &Normalized, script: &Path, data: &data::Config, samples: u64) -> Result<Value> {
    let script = CModule::load(script)?;
    let dataset = data.open(Split::Validation)?;
    let mut pipeline = data.pipeline(Split::Validation);
    // The networks normalise themselves.
    pipeline.normalize = None;
    let loader = LoaderConfig { batch_size: 1, ..data.loader().clone() };
    let input = Loader::new(dataset.into(), pipeline, &loader, Order::Sequential, 0, Device::Cpu)?;
    let _no_grad = tch::no_grad_guard();
    let mut parity = Parity::default();
    for batch in input.epoch(0, 0).take(samples as usize) {
        let batch = batch.map_err(Error::from_boxed)?;
        let run = || network.forward_t(&batch.inputs, false);
        let expected = contract::caught(run).map_err(Error::msg).context("running the network")?;
        parity.add(&expected, &script.forward_ts(&[&batch.inputs])?)?;
    }
    let (agreement, error) = (parity.agreement(), parity.max_error);
    let found = format!("in {:.4} % of the pixels of {} validation samples", agreement * 100.0, parity.samples);
    log::info!("model.pt and the network agree {found}; largest difference of logits {error:.1e}");
    if !parity.holds() {
        bail!("model.pt is not the network that it was made from, they agree {found}: nothing was published");
    }
    Ok(json!({
        "samples": parity.samples,
        "class_agreement": agreement,
        "max_error": error,
        "largest_logit": parity.largest,
    }))
}

/// What Triton's inference server wants to know of every version of a model.
fn triton(channels: i64, classes: usize) -> String {
    let tensor = |name: &str, channels: i64| {
        format!(
            "[\n  {{\n    name: \"{name}\"\n    data_type: TYPE_FP32\n    dims: [ -1, {channels}, -1, -1 ]\n  }}\n]"
        )
    };
    format!(
        "platform: \"pytorch_libtorch\"\nmax_batch_size: 0\ninput {}\noutput {}\n",
        tensor("input__0", channels),
        tensor("output__0", classes as i64)
    )
}
