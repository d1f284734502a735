//! Weights to start from: published ones by name, or those of a file.

use crate::encoder::ENCODER;
use crate::published::{Name, Published};
use crate::weights::{Mismatch, WeightsConfig, adopt};
use contract::StateDict;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use tch::{Kind, Tensor};

/// Channels of the images that published weights were trained on.
const CHANNELS: i64 = 3;

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
/// The first convolution is adapted to images of another number of channels than three, as
/// segmentation_models.pytorch does it: summed for one channel; else channel `i` has the weights of channel `i mod 3`,
/// times three over the number of channels.
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
    for (name, tensor) in &mut found {
        let wanted = own(name).map(Tensor::size);
        if let Some(adapted) = wanted.and_then(|wanted| first_convolution(tensor, &wanted)) {
            *tensor = adapted;
        }
    }
    adopt(found, network, &config)
}

/// Returns the weight of a convolution over three channels for as many as `wanted` has. None if it is another weight,
/// or fits as it is. (No other convolution of an encoder has three input channels: depthwise ones have one.)
fn first_convolution(weight: &Tensor, wanted: &[i64]) -> Option<Tensor> {
    let size = weight.size();
    let &[outputs, channels, height, width] = wanted else { return None };
    if size != [outputs, CHANNELS, height, width] || channels == CHANNELS || channels < 1 {
        return None;
    }
    let weight = weight.f_to_kind(Kind::Float).ok()?;
    if channels == 1 {
        return weight.f_sum_dim_intlist([1i64].as_slice(), true, Kind::Float).ok();
    }
    let cycled: Vec<i64> = (0..channels).map(|channel| channel % CHANNELS).collect();
    let cycled = weight.f_index_select(1, &Tensor::f_from_slice(&cycled).ok()?).ok()?;
    cycled.f_mul_scalar(CHANNELS as f64 / channels as f64).ok()
}
