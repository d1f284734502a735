//! The parity gate: nothing is published that differs from the trained network.

use crate::common::config::Config;
use crate::common::network::Network;
use crate::common::saved;
use ::saved::Agreement;
use anyhow::{Context, Error, Result, bail};
use contract::Input;
use data::{Loader, LoaderConfig, Order, Sampler, Split};
use export::{Format, Normalized, OnnxRuntime, Parity, Rten, Tolerance};
use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use tch::nn::ModuleT;
use tch::{CModule, Device, Tensor};

/// Environment variable that names ONNX Runtime's library, where the system does not know it.
const ONNX_RUNTIME: &str = "ORT_DYLIB_PATH";

/// Function from images to logits.
pub type Run = Box<dyn FnMut(&Tensor) -> Result<Tensor>>;

/// An exported format that was loaded again.
pub struct Loaded {
    pub format: Format,
    /// Tolerance of the comparison; None for a format that is judged by its scores.
    pub tolerance: Option<Tolerance>,
    /// Function that runs the file; None if there is no runtime for it.
    pub run: Option<Run>,
    pub parity: Parity,
    /// Mean IoU in f32 and of this file, if that was measured.
    pub mean_iou: Option<[f64; 2]>,
}

/// Loads a TorchScript file, to run it with libtorch. It must be the one that was just written.
pub fn torchscript(path: &Path) -> Result<Run> {
    let script = CModule::load(path)?;
    Ok(Box::new(move |images| Ok(script.forward_ts(&[images])?)))
}

/// Loads an ONNX file into ONNX Runtime, or into rten where that is not installed; None if rten does not take the file.
pub fn onnx(path: &Path) -> Result<Option<Run>> {
    let library = env::var_os(ONNX_RUNTIME).filter(|name| !name.is_empty()).map(PathBuf::from);
    if let Some(mut runtime) = OnnxRuntime::open(path, library.as_deref()).context(ONNX_RUNTIME)? {
        return Ok(Some(Box::new(move |images| Ok(runtime.run(images)?))));
    }
    let file = path.file_name().unwrap_or_default().display();
    match Rten::open(path, tch::get_num_threads().max(1) as usize) {
        Ok(runtime) => {
            log::info!("There is no ONNX Runtime here ({ONNX_RUNTIME} names its library), so rten runs {file}");
            Ok(Some(Box::new(move |images| Ok(runtime.run(images)?))))
        }
        Err(error) => {
            log::warn!(
                "{file} is not compared with the network: there is no ONNX Runtime here ({ONNX_RUNTIME} names its \
                 library), and {error}"
            );
            Ok(None)
        }
    }
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

/// Returns the images of a split one by one, from 0 to 1 and unchanged, at the network's size. The order is a function
/// of `train.seed`.
pub fn images(config: &Config, split: Split, order: Order) -> Result<Loader> {
    // The pipeline of validation changes nothing at random, and the networks normalise themselves.
    let mut pipeline = config.data.pipeline(Split::Validation);
    pipeline.normalize = None;
    // Each image once, however training draws them.
    let (sampler, epoch_samples) = (Sampler::default(), None);
    let loader = LoaderConfig { batch_size: 1, sampler, epoch_samples, ..config.data.loader().clone() };
    let dataset = config.data.open(split)?;
    Ok(Loader::new(dataset.into(), pipeline, &loader, order, config.train.seed, Device::Cpu)?)
}

/// Compares the saved formats with the live network on validation samples. Fails unless they agree up to rounding.
pub fn compare(
    network: &Normalized,
    mut saved: Vec<Loaded>,
    config: &Config,
) -> Result<BTreeMap<String, Option<Agreement>>> {
    let input = images(config, Split::Validation, Order::Sequential)?;
    let _no_grad = tch::no_grad_guard();
    for batch in input.epoch(0, 0).take(config.export.samples as usize) {
        let images = batch.map_err(Error::from_boxed)?.inputs;
        let run = || network.forward_t(&images, false);
        let expected = contract::caught(run).map_err(Error::msg).context("running the network")?;
        for Loaded { run, parity, .. } in &mut saved {
            if let Some(run) = run {
                parity.add(&expected, &run(&images)?)?;
            }
        }
    }
    let reported = |loaded: &Loaded| {
        let compared = loaded.run.as_ref().map(|_| report(loaded)).transpose()?;
        Ok((loaded.format.file().into(), compared))
    };
    saved.iter().map(reported).collect()
}

/// Returns the measured difference between a format and the network, or an error if it is too large.
fn report(loaded: &Loaded) -> Result<Agreement> {
    let Loaded { format, tolerance, parity, mean_iou, .. } = loaded;
    let (agreement, error, file) = (parity.agreement(), parity.max_error, format.file());
    let found = format!(
        "in {:.4} % of the pixels of {} validation samples, the largest difference of logits is {error:.1e} (of {:.1e})",
        agreement * 100.0,
        parity.samples,
        parity.largest
    );
    log::info!("{file} and the network agree {found}");
    if tolerance.is_some_and(|tolerance| !parity.holds(tolerance)) {
        bail!("{file} is not the network that it was made from: they agree {found}. Nothing was published");
    }
    Ok(Agreement {
        samples: parity.samples,
        class_agreement: agreement,
        max_error: error,
        largest_logit: parity.largest,
        mean_iou: *mean_iou,
    })
}
