//! Builds the objects that a loop needs from a configuration.

use crate::bounds;
use crate::config::Config;
use crate::identity;
use crate::kernels;
use crate::report;
use crate::snapshot;
use crate::trained;
use crate::usage::usage;
use anyhow::{Context, Result, ensure};
use checkpoint::Snapshot;
use contract::{Input, Stateful};
use data::{Fingerprint, Loader, Moving, Order, Skipped, Split, Tell, Told};
use metric::Segmentation;
use optim::{Average, Gradients, Optim};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tch::Device;
use tch::nn::{ModuleT, VarStore};
use terminal::{Step, Watch};
use torch_ext::Kernels;

/// A network and its variables.
pub struct Network {
    /// Variables of the network.
    pub store: VarStore,
    /// The network's forward pass.
    pub model: Box<dyn ModuleT>,
    /// Device that it is on.
    pub device: Device,
    /// Kernels that it computes with on a CPU.
    pub kernels: Kernels,
    /// Names of the classes, by id.
    pub classes: Vec<String>,
}

impl Network {
    /// Builds a network with the kernels that are best on this processor, and draws its initial weights from the seed.
    pub fn build(config: &Config) -> Result<Self> {
        let common = config.model.common();
        Self::build_with(config, common.fused.kernels(common.precision))
    }

    /// Does the same as [`build`](Self::build), with given kernels.
    pub fn build_with(config: &Config, kernels: Kernels) -> Result<Self> {
        let device = config.train.device()?;
        bounds::remember(config);
        // Keeps freed memory: a step is faster, and the program larger.
        if !config.model.common().recompute {
            torch_ext::tune_allocator();
        }
        let classes = config.data.classes();
        let store = VarStore::new(device);
        tch::manual_seed(config.train.seed as i64);
        let model = config
            .model
            .build_with(&store, config.data.channels().into(), classes.len() as i64, kernels)
            .context("building the model")?;
        Ok(Self { store, model, device, kernels, classes })
    }

    /// Replaces the drawn weights by those that the configuration starts from, if any.
    fn warm_start(&self, config: &Config) -> Result<()> {
        let Some(weights) = &config.model.common().weights else { return Ok(()) };
        let path = &weights.path;
        let found = if path.is_dir() {
            let mut start = trained::read(path).context("model.weights.path")?;
            identity::compare_start(path, &start, config);
            start.states.remove(snapshot::MODEL).unwrap_or_default()
        } else {
            weights::read(path)?
        };
        let mut own = Stateful::state(&self.store);
        let tensors = own.len();
        let adopted = model::adopt(found, &own, weights).with_context(|| path.display().to_string())?;
        own.retain(|name, _| adopted.contains_key(name));
        contract::load(&own, &adopted).with_context(|| path.display().to_string())?;
        log::info!("Starting from {} ({} of {tensors} tensors)", path.display(), own.len());
        Ok(())
    }

    /// Returns an empty metric for the network's classes.
    pub fn metric(&self) -> Result<Segmentation> {
        Ok(Segmentation::new(self.classes.clone(), self.device)?)
    }
}

/// Everything that training needs.
pub struct Parts {
    /// Network, with its initial weights.
    pub network: Network,
    /// Training data: shuffled, augmented.
    pub input: Box<dyn Input>,
    /// Time that it takes to move its batches to the device.
    pub moving: Arc<Moving>,
    /// Validation data: in order, not augmented.
    pub validation_input: Loader,
    /// Samples that training and validation leave out.
    pub skipped: [Arc<Skipped>; 2],
    /// Warnings that scores mean little, since the labels leave too little of the data.
    pub doubts: Vec<String>,
    /// Fingerprints of the training and the validation data.
    pub fingerprints: [Fingerprint; 2],
    /// Loss function.
    pub loss_fn: loss::Sum,
    /// Optimizer with its schedule.
    pub optimizer: Optim,
    /// Handle to request the optimizer's gradients.
    pub gradients: Gradients,
    /// Moving average of the weights.
    pub average: Option<Average>,
    /// Metric of training epochs.
    pub metric: Segmentation,
    /// Metric of validations.
    pub validation_metric: Segmentation,
}

impl Parts {
    /// Builds all parts, and reads every mask of the data once. A run that resumes `from` a checkpoint keeps its
    /// kernels, and will have its weights, so `model.weights` is not read.
    pub fn build(config: &Config, from: Option<&(PathBuf, Snapshot)>) -> Result<Self> {
        let network = match from {
            Some((path, snapshot)) => Network::build_with(config, kernels::of_checkpoint(path, snapshot, config)?)?,
            None => {
                let network = Network::build(config)?;
                network.warm_start(config)?;
                network
            }
        };
        let (input, doubt) = judged(config, Split::Train, network.device)?;
        let (validation_input, of_validation) = judged(config, Split::Validation, network.device)?;
        let updates_per_epoch = config.optimizer.updates_per_epoch(input.len());
        let length = optim::Length { updates_per_epoch, epochs: config.train.epochs };
        let built = config.optimizer.build(contract::parameters(&network.store), config.schedule.clone(), length);
        let mut optimizer = built.map_err(|error| match error {
            optim::Error::Invalid(invalid) => usage(format!("optimizer.{invalid}")),
            error => anyhow::Error::new(error).context("building the optimizer"),
        })?;
        if config.model.common().precision.needs_loss_scale() {
            optimizer = optimizer.scaling_the_loss()?;
        }
        Ok(Self {
            fingerprints: [input.fingerprint()?, validation_input.fingerprint()?],
            skipped: [input.skipped(), validation_input.skipped()],
            doubts: [doubt, of_validation].into_iter().flatten().collect(),
            moving: input.moving(),
            input: Box::new(input),
            validation_input,
            loss_fn: config.loss.build(network.device)?,
            gradients: optimizer.asked_gradients(),
            optimizer,
            average: config.optimizer.average(Stateful::state(&network.store))?,
            metric: network.metric()?,
            validation_metric: network.metric()?,
            network,
        })
    }
}

/// Opens the validation data.
pub fn input_of_validation(config: &Config, device: Device) -> Result<Loader> {
    input(config, Split::Validation, device)
}

/// Opens the data of a split and verifies it: every mask, and the beginning and end of every image.
pub fn input(config: &Config, split: Split, device: Device) -> Result<Loader> {
    judged(config, split, device).map(|(input, _)| input)
}

/// Does the same as [`input`]. Also returns, after warning of it, the doubt that labels leave too little of the data.
fn judged(config: &Config, split: Split, device: Device) -> Result<(Loader, Option<String>)> {
    let dataset = config.data.open_cached(split, &tell())?;
    let (loader, seed) = (config.data.loader(), config.train.seed);
    let classes = config.data.classes().len() as u64;
    let verified = data::verify_all_but(loader.max_skipped, dataset.as_ref(), classes, loader.workers);
    let verified = verified.with_context(|| format!("the {split} data"))?;
    report::skipped_of(split, verified.passed.iter().map(|(_, passed)| passed));
    ensure!(
        (verified.passed.len() as u64) < dataset.len(),
        "none of the {} samples of the {split} data can be loaded, so data.loader.max_skipped leaves nothing",
        dataset.len()
    );
    let shown = |id| verified.shown[usize::from(id)];
    let doubt = config.data.check_shown(split, dataset.as_ref(), shown);
    let doubt = doubt.map_err(|invalid| usage(format!("data.{invalid}")))?;
    doubt.iter().for_each(|doubt| log::warn!("{doubt}"));
    report::noted(&verified.noted);
    let order = match split {
        Split::Train => Order::Shuffled,
        Split::Validation => Order::Sequential,
    };
    let input = Loader::new(dataset, config.data.pipeline(split), loader, order, seed, device)?;
    input.skipped().remember(verified.passed);
    Ok((input, doubt))
}

/// Returns a callback that shows the state of a cache on disk: a bar while it is made, lines for the rest.
fn tell() -> Tell {
    let watch = Mutex::new(None::<Watch>);
    Arc::new(move |told| {
        let mut watch = watch.lock().unwrap_or_else(PoisonError::into_inner);
        if let Told::Building { done, total } = told {
            watch
                .get_or_insert_with(|| Watch::new("Cache", done - 1, total))
                .step(&Step { samples: 1, ..Step::default() });
            return;
        }
        *watch = None;
        match told {
            Told::Waiting(path) => log::info!("Another process is making the cache {}: waiting", path.display()),
            Told::Unfit { path, reason } => log::info!("Making the cache {} anew: {reason}", path.display()),
            Told::Ready(path) => log::info!("Samples come from the cache {}", path.display()),
            Told::Damaged { path, name } => log::warn!(
                "Sample '{name}' is damaged in the cache {}: it is loaded from its source, and the next run makes the \
                 cache anew",
                path.display()
            ),
            Told::Building { .. } => {}
        }
    })
}
