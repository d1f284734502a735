//! Recovers from a loss or gradient that is not finite, by policy: stops the run, skips the batch, or rolls back.

use crate::error::{Error, Result};
use crate::guard::Trouble;
use crate::saver::Saver;
use crate::settings::{NonFinite, Policy, Settings};
use checkpoint::{Config, Snapshot, Store};
use contract::{StateDict, StateError, Stateful, TorchError, load};
use executors::Training;
use regular::Permit;
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
    /// Command that reruns a kept batch.
    replay: Option<String>,
}

impl Recovery {
    /// Creates a recovery that keeps batches in the folder `rejected`, if the permit allows it.
    pub fn new(settings: &Settings, rejected: PathBuf, permit: &Permit) -> Self {
        let upkeep = Config { keep_last: KEPT, keep_best: false, ..Config::default() };
        Self {
            config: settings.non_finite.clone(),
            times: Tensor::from(0i64),
            kept: Store::new(rejected, &upkeep).permitted(permit),
            about: settings.about.clone(),
            replay: settings.replay.clone(),
        }
    }

    /// Keeps the batches that each of the `troubles` came from, for a replay, and applies the policy. Fails if the run
    /// has to stop.
    pub fn recover(&mut self, troubles: &[Trouble], training: &mut Training, saver: &mut Saver) -> Result<()> {
        let mut back = None;
        for trouble in troubles {
            let replay = match self.keep(trouble, training) {
                Ok(path) => match &self.replay {
                    Some(command) => format!("To see what happened: {command} {}", path.display()),
                    None => format!("It is kept, with the weights it met, in {}", path.display()),
                },
                // The decision to stop or go on must not depend on it.
                Err(error) => format!("The batch could not be kept: {error}"),
            };
            match self.config.policy {
                Policy::Stop => {
                    return Err(Error::NotFinite(format!(
                        "{trouble}. The weights were not changed, and the checkpoints before it are good. Look at \
                         these samples, lower optimizer.learning_rate, set optimizer.clip_norm, or let such batches \
                         pass with train.non_finite.policy=skip. {replay}"
                    )));
                }
                Policy::Skip => {
                    let so_far = self.count(trouble, &replay)?;
                    if let Some(name) = training.trainer.first_not_finite()? {
                        return Err(Error::NotFinite(format!(
                            "{trouble}. '{name}' of the network itself is not finite, so skipping does not help. {replay}"
                        )));
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
        let Some((path, snapshot)) = saver.newest()? else {
            return Err(Error::NotFinite(format!("{said}. There is no checkpoint to go back to")));
        };
        if let Err(cause) = training.trainer.restore_learnt(&snapshot.states) {
            return Err(Error::Restore { path, cause: Box::new(cause) });
        }
        log::warn!("{said}. Weights and optimizer are those of {}; the data goes on", path.display());
        Ok(())
    }

    /// Counts a recovery; fails if it is one too many.
    fn count(&mut self, trouble: &Trouble, replay: &str) -> Result<String> {
        let times = self.times.f_int64_value(&[]).map_err(TorchError::from)?.saturating_add(1);
        let limit = self.config.limit;
        if u64::try_from(times).is_ok_and(|times| times > limit) {
            return Err(Error::NotFinite(format!(
                "{trouble}. The run has recovered {limit} times, as often as train.non_finite.limit lets it. {replay}"
            )));
        }
        self.times = Tensor::from(times);
        Ok(format!("{times} of at most {limit} times"))
    }

    /// Saves the batches and the weights they met. The input is a function of the place, so it gives the batches once
    /// more, and none need be held while training goes on. On a GPU the weights are those of the look, a few steps
    /// later.
    fn keep(&self, trouble: &Trouble, training: &mut Training) -> Result<PathBuf> {
        let mut first = None;
        for suspect in trouble.suspects.iter().take(KEPT as usize) {
            let place = (suspect.at.epoch, suspect.at.batch.saturating_sub(1));
            let batch = training.trainer.input.epoch(place.0, place.1).next();
            let batch = batch.unwrap_or_else(|| Err("the input has no such batch".into())).map_err(Error::Caller)?;
            let mut about = self.about.clone();
            let rejected = json!({
                "names": batch.names,
                "loss": suspect.loss.to_string(),
                "gradient_norm": trouble.gradient_norm.to_string(),
                "learning_rate": trouble.learning_rate,
            });
            if about.is_object() {
                about["rejected"] = rejected;
            } else {
                about = json!({ "rejected": rejected });
            }
            let mut tensors = batch.extra;
            tensors.extend([("inputs".into(), batch.inputs), ("targets".into(), batch.targets)]);
            let mut states = training.trainer.stores();
            states.insert(BATCH.into(), tensors);
            let snapshot = Snapshot { progress: suspect.at, states, scores: BTreeMap::new(), about };
            first.get_or_insert(self.kept.save(&snapshot.copied()?)?);
        }
        first.ok_or_else(|| Error::Caller("no batch is suspected".into()))
    }
}

impl Stateful for Recovery {
    fn state(&self) -> StateDict {
        [(TIMES.to_string(), self.times.shallow_clone())].into()
    }

    fn load_state(&mut self, state: &StateDict) -> std::result::Result<(), StateError> {
        load(&self.state(), state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_recoveries_is_restored() {
        let folder = tempfile::tempdir().unwrap();
        let permit = Permit::new(|| Ok(()));
        let mut recovery = Recovery::new(&Settings::default(), folder.path().into(), &permit);
        recovery.load_state(&[("times".to_string(), Tensor::from(3i64))].into()).unwrap();
        assert_eq!(recovery.state()["times"].int64_value(&[]), 3);
    }
}
