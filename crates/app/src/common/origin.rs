//! Reads the record of an origin that checkpoints and saved networks carry.

use crate::common::config::Config;
use crate::common::usage::usage;
use anyhow::Result;
use checkpoint::Snapshot;
use serde_json::Value;

/// Returns the configuration that a checkpoint was trained with.
pub fn config(snapshot: &Snapshot, origin: &str) -> Result<Config> {
    recorded(&snapshot.about, origin)
}

/// Returns the configuration in the record of a checkpoint or a saved network.
pub fn recorded(about: &Value, origin: &str) -> Result<Config> {
    let config = about.get("config").ok_or_else(|| {
        usage(format!("{origin} does not say with which configuration it was trained: app train did not write it"))
    })?;
    Config::parse_saved(&config.to_string(), origin)
}
