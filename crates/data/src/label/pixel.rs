//! The content of a mask file's pixel.

use crate::label::classes::Color;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The content of a mask file's pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a value from 0 to 65535, or a colour such as \"#ffffff\"")]
pub enum Label {
    /// A number: a grey value or a palette index.
    Value(u16),
    /// A colour.
    Color(Color),
}

impl fmt::Display for Label {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Value(value) => value.fmt(formatter),
            Self::Color(color) => color.fmt(formatter),
        }
    }
}
