//! Keys of configurations, and the keys in which two differ.

use super::Config;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Keys that are about the file, not about the run.
pub const OF_FILE: [&str; 2] = ["$schema", "format"];

/// Returns the full key of `name` in the section `path`.
pub fn under(path: &str, name: &str) -> String {
    if path.is_empty() { name.into() } else { format!("{path}.{name}") }
}

/// Returns the keys whose values differ, as `(key, before, after)`; `-` stands for a missing key.
pub fn differences(before: &Config, after: &Config) -> Vec<(String, String, String)> {
    let (before, after) = (flat(before), flat(after));
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let shown = |all: &BTreeMap<String, Value>, key: &String| all.get(key).map_or("-".into(), Value::to_string);
    let differs = |key: &&String| before.get(*key) != after.get(*key);
    keys.into_iter().filter(differs).map(|key| (key.clone(), shown(&before, key), shown(&after, key))).collect()
}

/// Returns the full keys of a configuration.
pub fn keys(config: &Config) -> Vec<String> {
    flat(config).into_keys().collect()
}

/// Returns every value of a configuration by its full key, except of [`OF_FILE`] and of empty maps.
pub fn flat(config: &Config) -> BTreeMap<String, Value> {
    let config = serde_json::to_value(config).unwrap_or_default();
    let all = ::report::flat(&config).into_iter().map(|(key, value)| (key, value.clone()));
    let is_key = |(key, value): &(String, Value)| {
        !OF_FILE.contains(&key.as_str()) && value.as_object().is_none_or(|map| !map.is_empty())
    };
    all.filter(is_key).collect()
}
