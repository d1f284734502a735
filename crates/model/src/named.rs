//! Weights to start from: published ones by name, or those of a file.

use crate::encoder::ENCODER;
use crate::published::{Name, Published};
use crate::weights::{Mismatch, WeightsConfig, adopt};
use contract::StateDict;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use tch::Tensor;

/// Weights to start from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Weights {
    /// Published weights of the encoder, which are fetched.
    Named(Name),
    /// Weights of a file or a checkpoint.
    Stored(WeightsConfig),
}

impl JsonSchema for Weights {
    fn schema_name() -> Cow<'static, str> {
        "Weights".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "description": "Published weights of the encoder by name, which are fetched, or those of a file.",
            "anyOf": [generator.subschema_for::<WeightsConfig>(), generator.subschema_for::<Name>()],
            "errorMessage": "expected a name (imagenet, imagenet_v2, lvd142m or lvd1689m), or a section with a path",
        })
    }
}

impl Weights {
    /// Returns true if the network's last layer is taken too.
    pub fn has_head(&self) -> bool {
        matches!(self, Self::Stored(stored) if !stored.skip_head && !stored.encoder_only)
    }
}

/// Returns the tensors of a published file as f32, under their names in `network`: all of its encoder's.
///
/// # Errors
///
/// Fails with a list of every tensor that is missing, unexpected, or of another shape.
pub fn adopt_published(
    mut found: StateDict,
    network: &StateDict,
    published: &Published,
) -> Result<StateDict, Mismatch> {
    let config = WeightsConfig { path: published.file.into(), encoder_only: true, skip_head: false };
    let own = |name: &str| network.get(&format!("{}.{name}", ENCODER));
    found.retain(|name, _| own(name).is_some() || !published.unused.iter().any(|unused| name.starts_with(unused)));
    adopt(found, network, &config)
}
