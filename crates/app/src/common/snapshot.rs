//! Restores the weights of a checkpoint.

use crate::common::network::Network;
use anyhow::{Context, Result};
use checkpoint::Snapshot;
use contract::{StateDict, Stateful};
use optim::Average;

/// Name of the state that holds the weights.
pub const MODEL: &str = "model";
const AVERAGE: &str = "average";

/// Restores the weights that training goes on with.
pub fn restore_weights(snapshot: &Snapshot, network: &Network) -> Result<()> {
    contract::load(&Stateful::state(&network.store), state(snapshot, MODEL)?).context("the model's weights")
}

/// Restores the weights that predictions are made with: the average, if there is one.
pub fn restore_for_use(snapshot: &Snapshot, network: &Network) -> Result<()> {
    restore_weights(snapshot, network)?;
    let Some(state) = snapshot.states.get(AVERAGE) else { return Ok(()) };
    let mut average = Average::new(0.5, Stateful::state(&network.store))?;
    average.load_state(state).context("the average of the weights")?;
    Ok(average.swap()?)
}

fn state<'s>(snapshot: &'s Snapshot, name: &str) -> Result<&'s StateDict> {
    snapshot.states.get(name).with_context(|| format!("the checkpoint holds no {name}.safetensors"))
}
