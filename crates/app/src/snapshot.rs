//! Takes the states that a checkpoint holds from the parts, and restores them.

use crate::parts::{Network, Parts};
use crate::recovery::Recovery;
use anyhow::{Context, Result};
use checkpoint::Snapshot;
use contract::{StateDict, Stateful};
use executors::Training;
use optim::Average;
use std::collections::BTreeMap;
use tch::Device;

/// Name of the state that holds the weights.
pub const MODEL: &str = "model";
const OPTIMIZER: &str = "optimizer";
const METRIC: &str = "metric";
const GENERATOR: &str = "generator";
const AVERAGE: &str = "average";
const RECOVERY: &str = "recovery";

/// Returns the state of all that training changes, between two events. The tensors are those of the parts.
pub fn take(
    network: &Network,
    training: &Training,
    average: Option<&Average>,
    recovery: &Recovery,
) -> Result<BTreeMap<String, StateDict>> {
    let mut states = vec![
        (MODEL, Stateful::state(&network.store)),
        (OPTIMIZER, training.trainer.optimizer.state()),
        (METRIC, training.trainer.metric.state()),
        (GENERATOR, generators(network.device)?),
        (RECOVERY, recovery.state()),
    ];
    states.extend(average.map(|average| (AVERAGE, average.state())));
    Ok(states.into_iter().map(|(name, state)| (name.to_string(), state)).collect())
}

/// Restores all that [`take`] returned.
pub fn restore(snapshot: &Snapshot, parts: &mut Parts, recovery: &mut Recovery) -> Result<()> {
    let Parts { network, optimizer, metric, average, .. } = parts;
    restore_learnt(snapshot, network, optimizer, average.as_mut())?;
    metric.load_state(state(snapshot, METRIC)?).context("the metric's state")?;
    recovery.load_state(state(snapshot, RECOVERY)?).context("the state of the recovery")?;
    set_generators(state(snapshot, GENERATOR)?, network.device)
}

/// Restores what was learnt: the weights, the optimizer's state, the average.
pub fn restore_learnt(
    snapshot: &Snapshot,
    network: &Network,
    optimizer: &mut (impl Stateful + ?Sized),
    average: Option<&mut Average>,
) -> Result<()> {
    restore_weights(snapshot, network)?;
    optimizer.load_state(state(snapshot, OPTIMIZER)?).context("the optimizer's state")?;
    match (average, snapshot.states.get(AVERAGE)) {
        (Some(average), Some(state)) => average.load_state(state).context("the average of the weights"),
        // Averaging begins here.
        (Some(average), None) => average.restart().context("the average of the weights"),
        (None, _) => Ok(()),
    }
}

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

/// Returns the states of the random generators.
pub fn generators(device: Device) -> Result<StateDict> {
    let mut states = StateDict::from([("cpu".into(), torch_ext::generator_state(Device::Cpu)?)]);
    if let Device::Cuda(_) = device {
        states.insert("cuda".into(), torch_ext::generator_state(device)?);
    }
    Ok(states)
}

/// Restores what [`generators`] returned. A run that moves between CPU and GPU has no state for the other's generator.
pub fn set_generators(states: &StateDict, device: Device) -> Result<()> {
    for (name, generator) in states {
        match (name.as_str(), device) {
            ("cpu", _) => torch_ext::set_generator_state(Device::Cpu, generator)?,
            ("cuda", device @ Device::Cuda(_)) => torch_ext::set_generator_state(device, generator)?,
            _ => {}
        }
    }
    Ok(())
}
