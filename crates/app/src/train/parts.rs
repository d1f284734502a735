//! Builds the objects that a training needs from a configuration.

mod deterministic;
mod warm;

use crate::common::config::Config;
use crate::common::inputs::judged;
use crate::common::kernels;
use crate::common::network::Network;
use crate::common::usage::usage;
use anyhow::Result;
use checkpoint::Snapshot;
use contract::{Input, Ranks, Stateful};
use data::{Fingerprint, Loader, Skipped, Split};
use distributed::Group;
use metric::Segmentation;
use optim::{Gradients, Optim};
use std::path::PathBuf;
use std::sync::Arc;

/// Everything that training needs. Of several ranks each has its own.
pub struct Parts {
    /// Network, with its initial weights.
    pub network: Network,
    /// Training data: shuffled, augmented.
    pub input: Box<dyn Input>,
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
    /// Metric of training epochs.
    pub metric: Segmentation,
    /// Metric of validations.
    pub validation_metric: Segmentation,
}

impl Parts {
    /// Builds all parts, and reads every mask of the data once. A run that resumes `from` a checkpoint keeps its
    /// kernels, and will have its weights, so `model.weights` is not read. A rank of a `group` loads its share of each
    /// batch.
    pub fn build(config: &Config, from: Option<&(PathBuf, Snapshot)>, group: Option<&Arc<Group>>) -> Result<Self> {
        let common = config.model.common();
        let kernels = match from {
            Some((path, snapshot)) => kernels::of_checkpoint(path, snapshot, config)?,
            None => common.fused.kernels(common.precision),
        };
        let synced = group.filter(|group| group.count() > 1 && config.distributed.sync_batch_norm);
        let network = Network::build_with(config, kernels, synced.map(|group| Arc::clone(group) as Arc<dyn Ranks>))?;
        if from.is_none() {
            warm::start(&network, config, group)?;
        }
        let of_rank = |input: Loader| match group {
            Some(group) => input.of_rank(group.rank(), group.count()),
            None => input,
        };
        let (input, doubt) = judged(config, Split::Train, network.device)?;
        let (validation_input, of_validation) = judged(config, Split::Validation, network.device)?;
        let (input, validation_input) = (of_rank(input), of_rank(validation_input));
        if group.is_some_and(|group| group.rank() == 0) && input.idle_ranks() > 0 {
            log::warn!(
                "{} of the ranks have no sample of any batch: raise data.loader.batch_size, or start fewer ranks",
                input.idle_ranks()
            );
        }
        let updates_per_epoch = config.optimizer.updates_per_epoch(input.len());
        let length = optim::Length { updates_per_epoch, epochs: config.train.epochs };
        let built = config.optimizer.build(contract::parameters(&network.store), config.schedule.clone(), length);
        let mut optimizer = built.map_err(|error| match error {
            optim::Error::Invalid(invalid) => usage(format!("optimizer.{invalid}")),
            error => anyhow::Error::new(error).context("building the optimizer"),
        })?;
        optimizer = optimizer.averaging(Stateful::state(&network.store))?;
        if config.model.common().precision.needs_loss_scale() {
            optimizer = optimizer.scaling_the_loss()?;
        }
        let loss_fn = config.loss.build(network.device)?;
        deterministic::check(config, &network, &loss_fn)?;
        Ok(Self {
            fingerprints: [input.fingerprint()?, validation_input.fingerprint()?],
            skipped: [input.skipped(), validation_input.skipped()],
            doubts: [doubt, of_validation].into_iter().flatten().collect(),
            input: Box::new(input),
            validation_input,
            loss_fn,
            gradients: optimizer.asked_gradients(),
            optimizer,
            metric: network.metric()?,
            validation_metric: network.metric()?,
            network,
        })
    }
}
