//! Recovers from a loss or gradient that is not finite, by policy: stops the run, skips the batch, or rolls back.

use crate::error::{Error, Result};
use crate::guard::{Suspect, Trouble};
use crate::lockstep::Lockstep;
use crate::saver::Saver;
use crate::settings::{NonFinite, Policy, Settings};
use crate::shared;
use checkpoint::{Config, Snapshot, Store};
use contract::{Batch, StateDict, StateError, Stateful, TorchError, load};
use executors::Training;
use regular::Permit;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use tch::Tensor;

const TIMES: &str = "times";
/// Names of the samples of a share, on their way to the first rank.
const NAMES: &str = "#names";
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
    /// has to stop. All ranks call it after the same step, with the same numbers.
    pub fn recover(
        &mut self,
        troubles: Vec<Trouble>,
        training: &mut Training,
        saver: &mut Saver,
        lockstep: &Lockstep,
    ) -> Result<()> {
        let mut back = None;
        for mut trouble in troubles {
            let kept = self.keep(&mut trouble, training, lockstep);
            let trouble = &trouble;
            let replay = match kept {
                Ok(None) => "It is kept by rank 0".into(),
                Ok(Some(path)) => match &self.replay {
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
                    if lockstep.writes() {
                        log::warn!("{trouble}. Skipped, {so_far}. {replay}");
                    }
                }
                // Troubles after the first are rolled back with it.
                Policy::Rollback if back.is_some() => {}
                Policy::Rollback => {
                    back = Some(format!("{trouble}. Rolled back, {}. {replay}", self.count(trouble, &replay)?))
                }
            }
        }
        let Some(said) = back else { return Ok(()) };
        let Some((path, snapshot)) = lockstep.share(|| saver.newest())? else {
            return Err(Error::NotFinite(format!("{said}. There is no checkpoint to go back to")));
        };
        if let Err(cause) = training.trainer.restore_learnt(&snapshot.states) {
            return Err(Error::Restore { path, cause: Box::new(cause) });
        }
        if lockstep.writes() {
            log::warn!("{said}. Weights and optimizer are those of {}; the data goes on", path.display());
        }
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

    /// Saves the batches and the weights they met, and returns the path of the first; None on a rank that does not
    /// write. The input is a function of the place, so it gives the batches once more, and none need be held while
    /// training goes on. On a GPU the weights are those of the look, a few steps later. Of several ranks each has a
    /// share of a batch, and the first saves the whole; the samples that the trouble names become those of all.
    fn keep(&self, trouble: &mut Trouble, training: &mut Training, lockstep: &Lockstep) -> Result<Option<PathBuf>> {
        let mut first = None;
        let mut failed = None;
        let (gradient_norm, learning_rate) = (trouble.gradient_norm.to_string(), trouble.learning_rate);
        for suspect in trouble.suspects.iter_mut().take(KEPT as usize) {
            let (names, tensors) = whole(batch_of(suspect, training), lockstep)?;
            suspect.names.clone_from(&names);
            if !lockstep.writes() || failed.is_some() {
                continue;
            }
            let mut about = self.about.clone();
            let rejected = json!({
                "names": names,
                "loss": suspect.loss.to_string(),
                "gradient_norm": gradient_norm,
                "learning_rate": learning_rate,
            });
            if about.is_object() {
                about["rejected"] = rejected;
            } else {
                about = json!({ "rejected": rejected });
            }
            let mut states = training.trainer.stores();
            states.insert(BATCH.into(), tensors);
            let snapshot = Snapshot { progress: suspect.at, states, scores: BTreeMap::new(), about };
            match snapshot.copied().and_then(|copy| self.kept.save(&copy)) {
                Ok(path) => drop(first.get_or_insert(path)),
                // The other ranks do not know, and go on giving their shares.
                Err(error) => failed = Some(error),
            }
        }
        match (failed, first) {
            (Some(error), _) => Err(error.into()),
            (None, None) if lockstep.writes() => Err(Error::Caller("no batch is suspected".into())),
            (None, first) => Ok(first),
        }
    }
}

/// Returns the batch of a suspect: names and tensors.
fn batch_of(suspect: &Suspect, training: &Training) -> Result<(Vec<String>, StateDict)> {
    let place = (suspect.at.epoch, suspect.at.batch.saturating_sub(1));
    let batch = training.trainer.input.epoch(place.0, place.1).next();
    let batch = batch.unwrap_or_else(|| Err("the input has no such batch".into())).map_err(Error::Caller)?;
    let Batch { names, inputs, targets, extra: mut tensors, .. } = batch;
    tensors.extend([("inputs".into(), inputs), ("targets".into(), targets)]);
    Ok((names, tensors))
}

/// Joins the shares of all ranks.
fn whole(own: Result<(Vec<String>, StateDict)>, lockstep: &Lockstep) -> Result<(Vec<String>, StateDict)> {
    if lockstep.is_alone() {
        return own;
    }
    let (names, mut tensors) = lockstep.all(own)?;
    let listed = serde_json::to_string(&names).map_err(|error| Error::Caller(error.into()))?;
    tensors.insert(NAMES.into(), shared::text(&listed)?);
    let shares = lockstep.gather(tensors)?;
    let mut names = Vec::new();
    for share in &shares {
        let listed = share.get(NAMES).map_or_else(|| Ok("[]".into()), shared::read)?;
        names.extend(serde_json::from_str::<Vec<String>>(&listed).map_err(|error| Error::Caller(error.into()))?);
    }
    let joined = |name: &String| {
        let parts: Vec<&Tensor> = shares.iter().filter_map(|share| share.get(name)).collect();
        Ok((name.clone(), Tensor::f_cat(&parts, 0).map_err(TorchError::from)?))
    };
    let named = shares.first().into_iter().flat_map(StateDict::keys).filter(|name| *name != NAMES);
    Ok((names, named.map(joined).collect::<Result<_>>()?))
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
