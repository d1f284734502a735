//! The content of a mask file's pixel.

use crate::label::classes::Color;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The content of a mask file's pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a value from 0 to 65535, or a colour such as \"#ffffff\"")]
#[schemars(extend("errorMessage" = "expected a value from 0 to 65535, or a colour such as \"#ffffff\""))]
pub enum Label {
    /// A number: a grey value or a palette index.
    Value(u16),
    /// A colour.
    Color(Color),
}

impl Label {
    /// Parses a number that is written as text, as the keys of `labels.map` are.
    pub fn value(text: &str) -> Result<u16, String> {
        let value = text.parse::<u16>().ok().filter(|value| value.to_string() == text);
        value.ok_or_else(|| format!("a value in a mask is a number from 0 to 65535, not \"{text}\""))
    }
}

impl fmt::Display for Label {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Value(value) => value.fmt(formatter),
            Self::Color(color) => color.fmt(formatter),
        }
    }
}
