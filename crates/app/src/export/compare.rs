//! The parity gate: nothing is published that differs from the trained network.

use crate::common::config::Config;
use crate::common::network::Network;
use crate::common::saved;
use ::saved::Agreement;
use anyhow::{Context, Error, Result, bail};
use contract::Input;
use data::{Loader, LoaderConfig, Order, Split};
use export::{Format, Normalized, OnnxRuntime, Parity};
use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use tch::nn::ModuleT;
use tch::{CModule, Device, Tensor};

/// Environment variable that names ONNX Runtime's library, where the system does not know it.
const ONNX_RUNTIME: &str = "ORT_DYLIB_PATH";

/// Function from images to logits.
type Run = Box<dyn FnMut(&Tensor) -> Result<Tensor>>;

/// An exported format that was loaded again.
pub struct Loaded {
    pub format: Format,
    /// Tolerance of the comparison.
    pub tolerance: f64,
    /// Function that runs the file; None if there is no runtime for it.
    pub run: Option<Run>,
    pub parity: Parity,
}

/// Loads a TorchScript file, to run it with libtorch. It must be the one that was just written.
pub fn torchscript(path: &Path) -> Result<Run> {
    let script = CModule::load(path)?;
    Ok(Box::new(move |images| Ok(script.forward_ts(&[images])?)))
}

/// Loads an ONNX file, if ONNX Runtime is installed.
pub fn onnx(path: &Path) -> Result<Option<Run>> {
    let library = env::var_os(ONNX_RUNTIME).filter(|name| !name.is_empty()).map(PathBuf::from);
    let opened = OnnxRuntime::open(path, library.as_deref()).context(ONNX_RUNTIME)?;
    let Some(mut runtime) = opened else {
        log::warn!(
            "model.onnx is not compared with the network: there is no ONNX Runtime here ({ONNX_RUNTIME} names its library)"
        );
        return Ok(None);
    };
    Ok(Some(Box::new(move |images| Ok(runtime.run(images)?))))
}

/// Rebuilds the network with the weights of a file.
pub fn safetensors(path: &Path, config: &Config) -> Result<Run> {
    let Network { store, model, .. } = saved::rebuilt(path, config, weights::read(path)?)?;
    let model = ::saved::normalized(model, &config.data, Device::Cpu)?;
    Ok(Box::new(move |images| {
        let _alive = &store;
        contract::caught(|| model.forward_t(images, false)).map_err(Error::msg)
    }))
}

/// Compares the saved formats with the live network on validation samples. Fails unless they agree up to rounding.
pub fn compare(
    network: &Normalized,
    mut saved: Vec<Loaded>,
    data: &data::Config,
    samples: u64,
) -> Result<BTreeMap<String, Option<Agreement>>> {
    let dataset = data.open(Split::Validation)?;
    let mut pipeline = data.pipeline(Split::Validation);
    // The networks normalise themselves.
    pipeline.normalize = None;
    let loader = LoaderConfig { batch_size: 1, ..data.loader().clone() };
    let input = Loader::new(dataset.into(), pipeline, &loader, Order::Sequential, 0, Device::Cpu)?;
    let _no_grad = tch::no_grad_guard();
    for batch in input.epoch(0, 0).take(samples as usize) {
        let images = batch.map_err(Error::from_boxed)?.inputs;
        let run = || network.forward_t(&images, false);
        let expected = contract::caught(run).map_err(Error::msg).context("running the network")?;
        for Loaded { run, parity, .. } in &mut saved {
            if let Some(run) = run {
                parity.add(&expected, &run(&images)?)?;
            }
        }
    }
    let reported = |Loaded { format, tolerance, run, parity }: &Loaded| {
        let compared = run.as_ref().map(|_| report(*format, *tolerance, parity)).transpose()?;
        Ok((format.file().into(), compared))
    };
    saved.iter().map(reported).collect()
}

/// Returns the measured difference between a format and the network, or an error if it is too large.
fn report(format: Format, tolerance: f64, parity: &Parity) -> Result<Agreement> {
    let (agreement, error, file) = (parity.agreement(), parity.max_error, format.file());
    let found = format!(
        "in {:.4} % of the pixels of {} validation samples, the largest difference of logits is {error:.1e} (of {:.1e})",
        agreement * 100.0,
        parity.samples,
        parity.largest
    );
    log::info!("{file} and the network agree {found}");
    if !parity.holds(tolerance) {
        bail!("{file} is not the network that it was made from: they agree {found}. Nothing was published");
    }
    Ok(Agreement {
        samples: parity.samples,
        class_agreement: agreement,
        max_error: error,
        largest_logit: parity.largest,
    })
}
