//! All that a checkpoint holds: the states of the training, and the session's own.

use crate::error::Result;
use crate::generators;
use crate::recovery::Recovery;
use contract::{StateDict, Stateful};
use executors::Training;
use std::collections::BTreeMap;

/// State of the random generators.
pub const GENERATOR: &str = "generator";
/// State of the recovery.
pub const RECOVERY: &str = "recovery";

/// Returns all that a checkpoint holds.
pub fn states(training: &mut Training, recovery: &Recovery) -> Result<BTreeMap<String, StateDict>> {
    let mut states = training.trainer.states();
    states.insert(GENERATOR.into(), generators::take(training.trainer.devices())?);
    states.insert(RECOVERY.into(), recovery.state());
    Ok(states)
}
