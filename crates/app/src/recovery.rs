//! Recovers from a loss or gradient that is not finite, by policy: stops the run, skips the batch, or rolls back.

use crate::config::{NonFinite, Policy};
use crate::guard::Trouble;
use crate::parts::Network;
use crate::saver::Saver;
use crate::snapshot;
use anyhow::{Context, Result, bail};
use checkpoint::{Config, Permit, Snapshot, Store};
use contract::{Input, Optimizer, StateDict, StateError, Stateful, TorchError, load};
use optim::Average;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use tch::Tensor;

const TIMES: &str = "times";
/// Name of the state that holds a rejected batch.
pub const BATCH: &str = "batch";
/// Number of rejected batches that are kept for inspection, each with the weights it met.
const KEPT: u64 = 5;

/// Applies the policy, counts recoveries, and keeps rejected batches.
pub struct Recovery {
    config: NonFinite,
    /// Number of recoveries of the run: a scalar i64.
    times: Tensor,
    kept: Store,
    about: Value,
}

impl Recovery {
    /// Creates a recovery by `config` that keeps batches in the folder `rejected`; `about` is the record in their
    /// checkpoints.
    pub fn new(config: &NonFinite, rejected: PathBuf, about: Value) -> Self {
        let upkeep = Config { keep_last: KEPT, keep_best: false, ..Config::default() };
        Self { config: config.clone(), times: Tensor::from(0i64), kept: Store::new(rejected, &upkeep), about }
    }

    /// Makes this permit a condition for keeping batches.
    pub fn permitted(&mut self, permit: &Permit) {
        self.kept = self.kept.clone().permitted(permit);
    }

    /// Keeps the batches that each of the `troubles` came from, for a replay, and applies the policy. Fails if the run
    /// has to stop.
    pub fn recover(
        &mut self,
        troubles: &[Trouble],
        input: &dyn Input,
        network: &Network,
        optimizer: &mut dyn Optimizer,
        average: &mut Option<Average>,
        saver: &mut Saver,
    ) -> Result<()> {
        let mut back = None;
        for trouble in troubles {
            let replay = match self.keep(trouble, input, network) {
                Ok(path) => format!("To see what happened: app train --replay {}", path.display()),
                // The decision to stop or go on must not depend on it.
                Err(error) => format!("The batch could not be kept: {error:#}"),
            };
            match self.config.policy {
                Policy::Stop => bail!(
                    "{trouble}. The weights were not changed, and the checkpoints before it are good. Look at these \
                     samples, lower optimizer.learning_rate, set optimizer.clip_norm, or let such batches pass with \
                     train.non_finite.policy=skip. {replay}"
                ),
                Policy::Skip => {
                    let so_far = self.count(trouble, &replay)?;
                    if let Some(name) = first_not_finite(&Stateful::state(&network.store))? {
                        bail!(
                            "{trouble}. '{name}' of the network itself is not finite, so skipping does not help. {replay}"
                        );
                    }
                    log::warn!("{trouble}. Skipped, {so_far}. {replay}");
                }
                // Troubles after the first are rolled back with it.
                Policy::Rollback if back.is_some() => {}
                Policy::Rollback => {
                    back = Some(format!("{trouble}. Rolled back, {}. {replay}", self.count(trouble, &replay)?))
                }
            }
        }
        let Some(said) = back else { return Ok(()) };
        let found = saver.newest().with_context(|| said.clone())?;
        let (path, snapshot) = found.with_context(|| format!("{said}. There is no checkpoint to go back to"))?;
        snapshot::restore_learnt(&snapshot, network, optimizer, average.as_mut())?;
        log::warn!("{said}. Weights and optimizer are those of {}; the data goes on", path.display());
        Ok(())
    }

    /// Counts a recovery; fails if it is one too many.
    fn count(&mut self, trouble: &Trouble, replay: &str) -> Result<String> {
        let (times, limit) = (self.times.f_int64_value(&[])?.saturating_add(1), self.config.limit);
        if u64::try_from(times)? > limit {
            bail!(
                "{trouble}. The run has recovered {limit} times, as often as train.non_finite.limit lets it. {replay}"
            );
        }
        self.times = Tensor::from(times);
        Ok(format!("{times} of at most {limit} times"))
    }

    /// Saves the batches and the weights they met. The input is a function of the place, so it gives the batches once
    /// more, and none need be held while training goes on. On a GPU the weights are those of the look, a few steps
    /// later.
    fn keep(&self, trouble: &Trouble, input: &dyn Input, network: &Network) -> Result<PathBuf> {
        let mut first = None;
        for suspect in trouble.suspects.iter().take(KEPT as usize) {
            let batch = input.epoch(suspect.at.epoch, suspect.at.batch.saturating_sub(1)).next();
            let batch = batch.context("the input has no such batch")?.map_err(anyhow::Error::from_boxed)?;
            let mut about = self.about.clone();
            about["rejected"] = json!({
                "names": batch.names,
                "loss": suspect.loss.to_string(),
                "gradient_norm": trouble.gradient_norm.to_string(),
                "learning_rate": trouble.learning_rate,
            });
            let batch = StateDict::from([("inputs".into(), batch.inputs), ("targets".into(), batch.targets)]);
            let states = [(snapshot::MODEL.to_string(), Stateful::state(&network.store)), (BATCH.to_string(), batch)];
            let snapshot = Snapshot { progress: suspect.at, states: states.into(), scores: BTreeMap::new(), about };
            first.get_or_insert(self.kept.save(&snapshot.copied()?)?);
        }
        first.context("no batch is suspected")
    }
}

impl Stateful for Recovery {
    fn state(&self) -> StateDict {
        [(TIMES.to_string(), self.times.shallow_clone())].into()
    }

    fn load_state(&mut self, state: &StateDict) -> Result<(), StateError> {
        load(&self.state(), state)
    }
}

fn first_not_finite(state: &StateDict) -> Result<Option<&String>> {
    for (name, tensor) in state {
        if !finite(tensor)? {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Returns whether all values are finite. Waits for the device.
pub fn finite(tensor: &Tensor) -> Result<bool, TorchError> {
    Ok(tensor.f_isfinite()?.f_all()?.f_int64_value(&[])? != 0)
}
