//! Lists of transforms that have a name.

use crate::transform::crop::RandomCrop;
use crate::transform::intensity::{Brightness, Contrast, Gamma, InputNoise};
use crate::transform::low_resolution::{BandBlur, LowResolution};
use crate::transform::spatial::Spatial;
use crate::transform::{Transform, half};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt;

/// Returns the transforms of nnU-Net's 2-D configuration, with its probabilities and ranges (nnU-Net 2.8.1,
/// `nnUNetTrainer.get_training_transforms`), after the crop that its loader makes.
///
/// nnU-Net's loader takes every third patch around an object; this list does not, unless `foreground` of its
/// `random_crop` is set to 0.33.
pub fn nnunet() -> Vec<Transform> {
    let gamma = |invert, probability| Gamma { gamma: [0.7, 1.5], invert, retain: true, per_band: true, probability };
    let factor = [0.75, 1.25];
    vec![
        Transform::Spatial(Spatial {
            rotate: None,
            rotate_probability: 0.2,
            shrink: [0.7, 1.4],
            shrink_probability: 0.2,
        }),
        Transform::RandomCrop(RandomCrop::default()),
        Transform::InputNoise(InputNoise { std: 0.1, probability: 0.1 }),
        Transform::BandBlur(BandBlur { sigma: [0.5, 1.0], bands: 0.5, probability: 0.2 }),
        Transform::Brightness(Brightness { factor, per_band: true, probability: 0.15 }),
        Transform::Contrast(Contrast { factor, preserve_range: true, per_band: true, probability: 0.15 }),
        Transform::LowResolution(LowResolution { scale: [0.5, 1.0], bands: 0.5, probability: 0.25 }),
        Transform::Gamma(gamma(true, 0.1)),
        Transform::Gamma(gamma(false, 0.3)),
        Transform::HorizontalFlip { probability: half() },
        Transform::VerticalFlip { probability: half() },
    ]
}

/// A list of transforms, or the name of one: the form of a configuration's `transforms`.
#[derive(Debug)]
pub(crate) struct NamedOrListed;

/// Reads a list of transforms, or the name of one.
pub(crate) fn named_or_listed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Transform>, D::Error> {
    deserializer.deserialize_any(NamedOrListed)
}

impl<'de> Visitor<'de> for NamedOrListed {
    type Value = Vec<Transform>;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(EXPECTED)
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        match name {
            "nnunet" => Ok(nnunet()),
            _ => Err(E::invalid_value(serde::de::Unexpected::Str(name), &self)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        Vec::deserialize(serde::de::value::SeqAccessDeserializer::new(list))
    }
}

/// Valid values, for messages.
const EXPECTED: &str = "a list of transforms, or the name of one (nnunet)";

impl JsonSchema for NamedOrListed {
    fn schema_name() -> Cow<'static, str> {
        "NamedOrListed".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "anyOf": [generator.subschema_for::<Vec<Transform>>(), { "type": "string", "enum": ["nnunet"] }],
            "errorMessage": format!("expected {EXPECTED}"),
        })
    }
}
