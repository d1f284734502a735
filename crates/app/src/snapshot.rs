//! What a checkpoint holds, taken from the parts and put back into them.

use crate::config::Config;
use crate::parts::Network;
use anyhow::{Context, Result};
use checkpoint::Snapshot;
use contract::{Scores, StateDict, Stateful};
use executors::Training;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tch::Device;

const MODEL: &str = "model";
const OPTIMIZER: &str = "optimizer";
const METRIC: &str = "metric";
const GENERATOR: &str = "generator";

/// The state of training between two events, with the scores of the validation before it.
pub fn take(training: &Training, network: &Network, scores: &Scores, about: &Value) -> Result<Snapshot> {
    let states = [
        (MODEL, Stateful::state(&network.store)),
        (OPTIMIZER, training.trainer.optimizer.state()),
        (METRIC, training.trainer.metric.state()),
        (GENERATOR, generators(network.device)?),
    ];
    Ok(Snapshot {
        progress: training.progress(),
        states: states.into_iter().map(|(name, state)| (name.to_string(), state)).collect(),
        scores: scores.iter().cloned().collect::<BTreeMap<String, f64>>(),
        about: about.clone(),
    })
}

/// Which configuration, data and programs a checkpoint comes from.
pub fn about(config: &Config, classes: &[String], samples: [u64; 2]) -> Result<Value> {
    Ok(json!({
        "oxiseg": env!("CARGO_PKG_VERSION"),
        "libtorch": torch_ext::libtorch_version(),
        "classes": classes,
        "samples": { "train": samples[0], "validation": samples[1] },
        "config": serde_json::to_value(config)?,
    }))
}

/// The configuration that a checkpoint was trained with.
pub fn config(snapshot: &Snapshot, origin: &str) -> Result<Config> {
    Config::parse(&snapshot.about["config"].to_string(), origin)
}

/// Puts back all that [`take`] took.
pub fn restore(
    snapshot: &Snapshot,
    network: &mut Network,
    optimizer: &mut impl Stateful,
    metric: &mut impl Stateful,
) -> Result<()> {
    restore_model(snapshot, network)?;
    optimizer.load_state(state(snapshot, OPTIMIZER)?).context("the optimizer's state")?;
    metric.load_state(state(snapshot, METRIC)?).context("the metric's state")?;
    for (device, generator) in state(snapshot, GENERATOR)? {
        // A run that moves between CPU and GPU has no state for the other's generator.
        match (device.as_str(), network.device) {
            ("cpu", _) => torch_ext::set_generator_state(Device::Cpu, generator)?,
            ("cuda", device @ Device::Cuda(_)) => torch_ext::set_generator_state(device, generator)?,
            _ => {}
        }
    }
    Ok(())
}

/// Puts back the weights only.
pub fn restore_model(snapshot: &Snapshot, network: &mut Network) -> Result<()> {
    network.store.load_state(state(snapshot, MODEL)?).context("the model's weights")
}

fn state<'s>(snapshot: &'s Snapshot, name: &str) -> Result<&'s StateDict> {
    snapshot.states.get(name).with_context(|| format!("the checkpoint holds no {name}.safetensors"))
}

fn generators(device: Device) -> Result<StateDict> {
    let mut states = StateDict::from([("cpu".into(), torch_ext::generator_state(Device::Cpu)?)]);
    if let Device::Cuda(_) = device {
        states.insert("cuda".into(), torch_ext::generator_state(device)?);
    }
    Ok(states)
}
