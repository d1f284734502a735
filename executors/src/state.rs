//! The state of a training, by name: what a checkpoint keeps.

use crate::{Trainer, Training};
use contract::{StateDict, StateError, Stateful};
use std::collections::BTreeMap;
use std::time::Duration;
use tch::Device;

const OPTIMIZER: &str = "optimizer";
const METRIC: &str = "metric";
const AVERAGE: &str = "average";

/// Why a state was not restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// A part has no state among those that were given.
    #[error("there is no state '{name}'")]
    Missing {
        /// The part.
        name: String,
    },
    /// A state does not fit its part.
    #[error("the state '{name}': {source}")]
    State {
        /// The part.
        name: String,
        /// Why.
        source: StateError,
    },
}

impl Trainer<'_> {
    /// Returns the states of all that training changes, by name: the [protected](Self::protect) stores, `optimizer`,
    /// `metric`, and `average` if the optimizer keeps one. The tensors are those of the parts.
    pub fn states(&mut self) -> BTreeMap<String, StateDict> {
        let mut states = self.stores();
        states.insert(OPTIMIZER.into(), self.optimizer.state());
        states.insert(METRIC.into(), self.metric.state());
        states.extend(self.optimizer.average().map(|average| (AVERAGE.to_string(), average.state())));
        states
    }

    /// Returns the states of the protected stores, by name.
    pub fn stores(&mut self) -> BTreeMap<String, StateDict> {
        self.protection.stores().map(|store| (store.name.clone(), store.state())).collect()
    }

    /// Restores all that training changes, whole or not at all.
    ///
    /// # Errors
    ///
    /// Fails if a state is missing or does not fit; then nothing has changed.
    pub fn restore(&mut self, states: &BTreeMap<String, StateDict>) -> Result<(), RestoreError> {
        self.whole(states, true)
    }

    /// Restores what was learnt, whole or not at all: all but the metric.
    ///
    /// # Errors
    ///
    /// Those of [`restore`](Self::restore).
    pub fn restore_learnt(&mut self, states: &BTreeMap<String, StateDict>) -> Result<(), RestoreError> {
        self.whole(states, false)
    }

    fn whole(&mut self, states: &BTreeMap<String, StateDict>, with_metric: bool) -> Result<(), RestoreError> {
        let copied = |(name, state): (String, StateDict)| {
            let copy = state.into_iter().map(|(name, tensor)| (name, tensor.copy())).collect();
            (name, copy)
        };
        let before: BTreeMap<String, StateDict> = self.states().into_iter().map(copied).collect();
        let done = self.load(states, with_metric);
        if done.is_err() {
            // These were theirs a moment ago.
            self.load(&before, with_metric)?;
        }
        done
    }

    fn load(&mut self, states: &BTreeMap<String, StateDict>, with_metric: bool) -> Result<(), RestoreError> {
        for store in self.protection.stores() {
            let name = store.name.clone();
            load(store, &name, states)?;
        }
        load(self.optimizer, OPTIMIZER, states)?;
        if with_metric {
            load(self.metric, METRIC, states)?;
        }
        let Some(average) = self.optimizer.average() else { return Ok(()) };
        let problem = |source| RestoreError::State { name: AVERAGE.into(), source };
        match states.get(AVERAGE) {
            Some(state) => average.load_state(state).map_err(problem),
            // Averaging begins here.
            None => average
                .restart()
                .map_err(|error| problem(StateError::Value { name: AVERAGE.into(), problem: error.to_string() })),
        }
    }

    /// Returns the devices whose random generators a step may use.
    pub fn devices(&self) -> &[Device] {
        self.protection.devices()
    }

    /// Returns the name of the first tensor of a protected store that is not finite. Waits for the device.
    ///
    /// # Errors
    ///
    /// Fails if libtorch does.
    pub fn first_not_finite(&mut self) -> Result<Option<String>, contract::TorchError> {
        for store in self.protection.stores() {
            for (name, tensor) in store.state() {
                if tensor.f_isfinite()?.f_all()?.f_int64_value(&[])? == 0 {
                    return Ok(Some(name));
                }
            }
        }
        Ok(None)
    }
}

fn load(
    part: &mut (impl Stateful + ?Sized),
    name: &str,
    states: &BTreeMap<String, StateDict>,
) -> Result<(), RestoreError> {
    let state = states.get(name).ok_or_else(|| RestoreError::Missing { name: name.into() })?;
    part.load_state(state).map_err(|source| RestoreError::State { name: name.into(), source })
}

impl Training<'_, '_> {
    /// Returns the time spent since the last call waiting for batches, and, of the time after that, bringing them to
    /// the device.
    pub fn take_waits(&mut self) -> (Duration, Duration) {
        let so_far = self.trainer.input.transfer();
        let transfer = so_far.saturating_sub(std::mem::replace(&mut self.transferred, so_far));
        (std::mem::take(&mut self.waited).saturating_sub(transfer), transfer)
    }
}
