//! Checks a configuration against its schema: the kind of a section first, then its keys. Errors name the full key.
//!
//! serde cannot tell which key it failed at in a section with a `kind`, since it reads such a section twice.

use super::keys::{keys, under};
use super::{Config, words};
use crate::common::output;
use anyhow::Result;
use contract::Invalid;
use data::{Color, Label};
use serde::Deserialize;
use serde_json::{Map, Number, Value};
use std::fmt;
use std::sync::LazyLock;

/// Schema of a configuration.
pub static SCHEMA: LazyLock<Value> = LazyLock::new(|| schemars::schema_for!(Config).into());

/// `app schema`
pub fn print() -> Result<()> {
    output::print(&serde_json::to_string_pretty(&schemars::schema_for!(Config))?)
}

/// A problem in a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Full key; empty for the configuration as a whole.
    pub path: String,
    /// Description of the problem, and of a valid value.
    pub said: String,
}

impl From<Invalid> for Problem {
    fn from(Invalid { key, problem }: Invalid) -> Self {
        Self { path: key, said: problem }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if self.path.is_empty() { f.write_str(&self.said) } else { write!(f, "{}: {}", self.path, self.said) }
    }
}

type Checked = Result<(), Problem>;

/// Deserializes the configuration.
pub fn typed(value: &Value) -> Result<Config, Problem> {
    At { path: String::new(), value }.check(&SCHEMA)?;
    Config::deserialize(value).map_err(|error| Problem { path: String::new(), said: error.to_string() })
}

/// Returns the schema that `schema` refers to, or itself.
pub fn target<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    let place = schema["$ref"].as_str().map(|place| place.trim_start_matches('#'));
    place.and_then(|place| root.pointer(place)).unwrap_or(schema)
}

/// Returns the alternatives of a schema under `key`; empty if it has none.
pub fn ways<'s>(schema: &'s Value, key: &str) -> &'s [Value] {
    schema[key].as_array().map_or(&[], Vec::as_slice)
}

/// Returns the `kind` of the sections that a schema describes.
pub fn kind(schema: &Value) -> Option<&Value> {
    schema.pointer("/properties/kind/const")
}

/// A value and its full key.
struct At<'v> {
    path: String,
    value: &'v Value,
}

impl<'v> At<'v> {
    fn problem<T>(&self, said: impl Into<String>) -> Result<T, Problem> {
        Err(Problem { path: self.path.clone(), said: said.into() })
    }

    fn key(&self, name: &str, value: &'v Value) -> Self {
        Self { path: under(&self.path, name), value }
    }

    fn check(&self, schema: &Value) -> Checked {
        let schema = target(&SCHEMA, schema);
        let (variants, forms) = (ways(schema, "oneOf"), ways(schema, "anyOf"));
        let names = || variants.iter().filter_map(|variant| variant.get("const")).chain(ways(schema, "enum"));
        let checked = if variants.iter().any(|variant| kind(variant).is_some()) {
            self.by_kind(variants)
        } else if names().next().is_some() {
            self.name(names())
        } else if let Some(first) = forms.first() {
            let fitting = || forms.iter().filter(|form| self.fits(form));
            // Of two lists, only what they hold tells them apart.
            match fitting().any(|form| self.check(form).is_ok()) {
                true => Ok(()),
                false => self.check(fitting().next().unwrap_or(first)),
            }
        } else {
            self.plain(schema)
        };
        // Says of the value as a whole what its forms cannot.
        match (checked, schema["errorMessage"].as_str()) {
            (Err(Problem { path, .. }), Some(said)) if path == self.path => self.problem(said),
            (checked, _) => checked,
        }
    }

    /// Returns whether the value has the type of `form`.
    fn fits(&self, form: &Value) -> bool {
        match target(&SCHEMA, form)["type"].as_str() {
            Some("string") => self.value.is_string(),
            Some("integer") => self.value.is_number(),
            Some("object") => self.value.is_object(),
            Some("array") => self.value.is_array(),
            Some("null") => self.value.is_null(),
            _ => !self.value.is_null(),
        }
    }

    fn name<'s>(&self, names: impl Iterator<Item = &'s Value> + Clone) -> Checked {
        if names.clone().any(|name| name == self.value) {
            return Ok(());
        }
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), String::from);
        let (given, names) = (text(self.value), names.map(text).collect::<Vec<_>>());
        let meant = words::nearest(&given, names.iter().map(String::as_str));
        self.problem(format!("unknown variant `{given}`, {}{}", words::one_of(&names), words::meant(meant)))
    }

    fn by_kind(&self, variants: &[Value]) -> Checked {
        let Some(given) = self.section()?.get("kind") else { return self.problem("missing field `kind`") };
        self.key("kind", given).name(variants.iter().filter_map(kind))?;
        let own = variants.iter().find(|variant| kind(variant) == Some(given));
        own.map_or(Ok(()), |own| self.keys(own))
    }

    fn section(&self) -> Result<&'v Map<String, Value>, Problem> {
        match self.value {
            Value::Object(section) => Ok(section),
            Value::Array(_) => self.problem(format!("expected a section in braces, found {}", self.value)),
            other => self.problem(words::invalid(other, "a section in braces")),
        }
    }

    fn keys(&self, schema: &Value) -> Checked {
        let section = self.section()?;
        let others = schema["patternProperties"].as_object().and_then(|patterns| patterns.iter().next());
        for (name, value) in section {
            let at = self.key(name, value);
            match (schema["properties"].get(name), others) {
                (Some(schema), _) => at.check(schema)?,
                (None, Some((pattern, schema))) => {
                    matches(pattern, name).or_else(|said| at.problem(said))?;
                    at.check(schema)?;
                }
                (None, None) => return at.unknown(name, schema),
            }
        }
        let mut required = ways(schema, "required").iter().filter_map(Value::as_str);
        let missing = required.find(|name| !section.contains_key(*name));
        missing.map_or(Ok(()), |name| self.problem(format!("missing field `{name}`")))
    }

    fn unknown(&self, name: &str, section: &Value) -> Checked {
        let known = section["properties"].as_object().into_iter().flat_map(Map::keys);
        let known: Vec<String> = known.filter(|known| *known != "kind").cloned().collect();
        let sibling = words::nearest(name, known.iter().map(String::as_str)).map(String::from);
        let meant = sibling.or_else(|| words::nearest_key(&self.path, &keys(&Config::default())));
        self.problem(format!("unknown field `{name}`, {}{}", words::one_of(&known), words::meant(meant.as_deref())))
    }

    /// Checks a value of one type, or of one and null.
    fn plain(&self, schema: &Value) -> Checked {
        let names = ways(schema, "type");
        let name = names.first().unwrap_or(&schema["type"]).as_str();
        match (name.unwrap_or("object"), self.value) {
            ("null", Value::Null) => Ok(()),
            (_, Value::Null) if names.contains(&"null".into()) => Ok(()),
            ("object", _) => self.keys(schema),
            ("array", Value::Array(items)) => self.list(schema, items),
            ("string", Value::String(text)) => self.text(schema, text),
            ("integer", Value::Number(number)) if !number.is_f64() => self.whole(schema, number),
            ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) => Ok(()),
            (name, value) => self.problem(words::invalid(value, &wanted(name, schema))),
        }
    }

    fn list(&self, schema: &Value, items: &'v [Value]) -> Checked {
        if schema["minItems"].as_u64().is_some_and(|count| count != items.len() as u64) {
            return self.problem(format!("invalid length {}, expected {}", items.len(), wanted("array", schema)));
        }
        let at = |(place, value)| Self { path: format!("{}[{place}]", self.path), value };
        items.iter().enumerate().map(at).try_for_each(|item| item.check(&schema["items"]))
    }

    fn text(&self, schema: &Value, text: &str) -> Checked {
        if text.starts_with("~/") {
            let advice = "only a shell knows what ~ is: write the whole path, or $HOME in a shell";
            return self.problem(format!("\"{text}\": {advice}"));
        }
        schema["pattern"].as_str().map_or(Ok(()), |pattern| matches(pattern, text)).or_else(|said| self.problem(said))
    }

    fn whole(&self, schema: &Value, number: &Number) -> Checked {
        let (least, most) = match schema["format"].as_str() {
            Some("int64") => (i64::MIN, i64::MAX as u64),
            Some("uint32") => (0, u32::MAX.into()),
            _ => (0, schema["maximum"].as_u64().unwrap_or(u64::MAX)),
        };
        if number.as_u64().map_or(least < 0, |number| number <= most) {
            return Ok(());
        }
        self.problem(format!("invalid value: integer `{number}`, expected a whole number from {least} to {most}"))
    }
}

/// Names a type of JSON in plain words.
fn wanted(name: &str, schema: &Value) -> String {
    match (name, &schema["minItems"]) {
        ("array", Value::Null) => "a list in brackets".into(),
        ("array", count) => format!("a list of {count}"),
        ("string", _) => "text in quotes".into(),
        ("integer", _) => "a whole number".into(),
        ("number", _) => "a number".into(),
        _ => "true or false".into(),
    }
}

/// Fails if `text` does not have the form of `pattern`: that of a value in a mask, or of a colour.
fn matches(pattern: &str, text: &str) -> Result<(), String> {
    if pattern == r"^\d+$" { Label::value(text).map(drop) } else { text.parse::<Color>().map(drop) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Returns configurations that have every kind and every form of value.
    fn all_kinds() -> Vec<Value> {
        let flip = |kind: &str| json!({ "kind": kind });
        let transforms = [
            "horizontal_flip",
            "vertical_flip",
            "rotate90",
            "random_resized_crop",
            "random_crop",
            "affine",
            "color_jitter",
            "gaussian_blur",
            "gaussian_noise",
            "coarse_dropout",
            "cut_mix",
            "elastic",
            "grid_distortion",
            "spatial",
            "brightness",
            "contrast",
            "gamma",
            "input_noise",
            "invert",
            "band_blur",
            "low_resolution",
            "sharpen",
            "clahe",
            "jpeg",
            "channel_dropout",
            "channel_shuffle",
            "rand_augment",
            "mosaic",
        ];
        let terms = ["focal", "binary_cross_entropy", "ohem", "dice", "tversky", "jaccard", "lovasz", "boundary"];
        let classes = json!(["a", { "name": "b", "color": "#ff0000" }]);
        let normalize = json!({ "mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2] });
        let weights = json!({ "path": "w" });
        let configs = [
            json!({ "data": { "kind": "shapes", "transforms": transforms.map(flip), "normalize": normalize } }),
            json!({
                "data": { "kind": "oxford_pets", "root": "r" },
                "model": { "kind": "mobilenet_v2_unet", "weights": "imagenet" },
            }),
            json!({
                "data": {
                    "kind": "folders", "root": "r", "classes": classes, "labels": { "map": { "7": 1, "8": "a" } },
                },
                "model": { "kind": "resnet_unet", "weights": weights },
                "optimizer": { "rule": { "kind": "sgd" }, "groups": [{ "parameters": "*" }] },
                "schedule": { "decay": { "kind": "cosine" } },
                "loss": { "class_weights": [1, 2], "terms": terms.map(flip), "auxiliary": "halving" },
            }),
            json!({
                "data": {
                    "kind": "list", "root": "r", "list": "l", "classes": classes, "split": { "fold": "1/5" },
                    "labels": { "colors": { "#00ff00": 0, "#0000ff": "b" }, "ignore": [255, "#ffffff"] },
                },
                "schedule": { "decay": { "kind": "step", "every": 3 } },
            }),
            json!({ "model": { "kind": "segmenter", "encoder": { "name": "efficientnet_b0" } } }),
            json!({ "model": { "kind": "segmenter", "decoder": { "kind": "unet_plus_plus" }, "auxiliary": true } }),
            json!({ "model": { "kind": "segmenter", "decoder": { "kind": "fpn", "channels": 64 } } }),
            json!({ "model": { "kind": "segmenter", "decoder": { "kind": "deeplab_v3_plus" } } }),
            json!({
                "optimizer": { "rule": { "kind": "adamw" } },
                "schedule": { "decay": { "kind": "polynomial" } },
                "loss": { "class_weights": "median" },
            }),
        ];
        configs.iter().map(|config| serde_json::to_value(typed(config).unwrap()).unwrap()).collect()
    }

    /// Returns the pointers to a value and to all values in it.
    fn pointers(value: &Value, at: &str) -> Vec<String> {
        let inside: Vec<(String, &Value)> = match value {
            Value::Object(section) => section.iter().map(|(name, value)| (name.clone(), value)).collect(),
            Value::Array(items) => items.iter().enumerate().map(|(place, item)| (place.to_string(), item)).collect(),
            _ => Vec::new(),
        };
        let inside = inside.iter().flat_map(|(name, value)| pointers(value, &format!("{at}/{name}")));
        std::iter::once(at.to_owned()).chain(inside).collect()
    }

    /// Asserts that a changed configuration is refused where serde refuses it, at the key `at` or inside it.
    fn assert_like_serde(config: &Value, at: &str) {
        let found = typed(config).map_err(|problem| problem.path);
        let same = found.is_err() == Config::deserialize(config).is_err();
        // serde takes a list for the values of a section, and a number for the place of a kind.
        let stricter = found.is_err() && (at.ends_with("/kind") || config.pointer(at).is_some_and(Value::is_array));
        assert!(same || stricter, "{at} in {config}: {found:?}");
        let path = |at: &str| at.trim_start_matches('/').replace('/', ".");
        let plain = |path: String| path.replace('[', ".").replace(']', "");
        assert!(found.map_err(plain).map_or_else(|found| found.starts_with(&path(at)), |_| true), "{at} in {config}");
    }

    #[test]
    fn a_wrong_value_or_key_is_found_where_it_is_and_only_where_serde_finds_one() {
        let others = [
            json!(null),
            json!(true),
            json!(-1),
            json!(5),
            json!(70_000),
            json!(5_000_000_000_u64),
            json!(1.5),
            json!("x"),
            json!("#12345g"),
            json!([]),
            json!([5, 5, 5]),
            json!({}),
            json!({"x": 1}),
            json!({"kind": "x"}),
        ];
        for config in all_kinds() {
            for at in pointers(&config, "") {
                for other in &others {
                    let mut changed = config.clone();
                    *changed.pointer_mut(&at).unwrap() = other.clone();
                    assert_like_serde(&changed, &at);
                }
                let Some(section) = config.pointer(&at).and_then(Value::as_object) else { continue };
                for name in section.keys().map(String::as_str).chain(["x", "07", "#12345g"]) {
                    let mut changed = config.clone();
                    let section = changed.pointer_mut(&at).and_then(Value::as_object_mut).unwrap();
                    if section.remove(name).is_none() {
                        section.insert(name.into(), json!(1));
                    }
                    assert_like_serde(&changed, &at);
                }
            }
        }
    }
}
