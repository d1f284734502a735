//! Weights from elsewhere that a new run starts from.

use crate::common::config::Config;
use crate::common::identity;
use crate::common::network::Network;
use crate::common::published;
use crate::common::snapshot;
use crate::common::trained;
use crate::train::group;
use anyhow::{Context, Result};
use contract::{StateDict, Stateful};
use distributed::Group;
use model::{Published, Weights, WeightsConfig};
use std::path::Path;
use std::sync::Arc;

/// Replaces the drawn weights by those that the configuration starts from, if any. Each rank of a `group` reads them;
/// published ones are fetched once for each machine.
pub fn start(network: &Network, config: &Config, group: Option<&Arc<Group>>) -> Result<()> {
    match (&config.model.common().weights, config.model.published()?) {
        (Some(Weights::Stored(weights)), _) => stored(network, config, weights),
        (Some(Weights::Named(_)), Some(published)) => named(network, config, published, group),
        _ => Ok(()),
    }
}

fn stored(network: &Network, config: &Config, weights: &WeightsConfig) -> Result<()> {
    let path = &weights.path;
    let found = if path.is_dir() {
        let mut start = trained::read(path).context("model.weights.path")?;
        identity::compare_start(path, &start, config);
        start.states.remove(snapshot::MODEL).unwrap_or_default()
    } else {
        weights::read(path)?
    };
    let own = Stateful::state(&network.store);
    let adopted = model::adopt(found, &own, weights).with_context(|| path.display().to_string())?;
    load(path, own, &adopted)
}

fn named(network: &Network, config: &Config, published: &'static Published, group: Option<&Arc<Group>>) -> Result<()> {
    let path = group::one_of_each_machine(group, &config.distributed, move |show| published::cached(published, show))?;
    let own = Stateful::state(&network.store);
    let adopted = model::adopt_published(weights::read(&path)?, &own, published);
    load(&path, own, &adopted.with_context(|| path.display().to_string())?)
}

/// Loads those of the network's tensors that were `adopted` from the file at `path`.
fn load(path: &Path, mut own: StateDict, adopted: &StateDict) -> Result<()> {
    let tensors = own.len();
    own.retain(|name, _| adopted.contains_key(name));
    contract::load(&own, adopted).with_context(|| path.display().to_string())?;
    log::info!("Starting from {} ({} of {tensors} tensors)", path.display(), own.len());
    Ok(())
}
