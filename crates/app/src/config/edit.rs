//! Changes of single keys, and what differs between two configurations.

use super::Config;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Makes the change `KEY=VALUE` in `config`; gives the key. The value is JSON, or a string where it is no JSON.
///
/// A change of a `kind` drops the other options of its section, which belonged to the old kind.
pub fn set(config: &mut Value, change: &str) -> Result<String, String> {
    let (key, text) = change.split_once('=').ok_or_else(|| format!("--set {change}: expected KEY=VALUE"))?;
    let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.into()));
    let (section, name) = match key.rsplit_once('.') {
        Some((section, name)) => (section.split('.').collect(), name),
        None => (Vec::new(), key),
    };
    let mut at = config;
    for part in section {
        at = at.get_mut(part).ok_or_else(|| format!("--set {key}: there is no section \"{part}\""))?;
    }
    let object = at.as_object_mut().ok_or_else(|| format!("--set {key}: not a section"))?;
    if name == "kind" && object.get(name) != Some(&value) {
        *object = Map::new();
    }
    object.insert(name.into(), value);
    Ok(key.into())
}

/// The keys whose values differ, as `(key, before, after)`; `-` stands for a key that is not there.
pub fn differences(before: &Config, after: &Config) -> Vec<(String, String, String)> {
    let (before, after) = (flat(before), flat(after));
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let shown = |all: &BTreeMap<String, Value>, key: &String| all.get(key).map_or("-".into(), Value::to_string);
    let differs = |key: &&String| before.get(*key) != after.get(*key);
    keys.into_iter().filter(differs).map(|key| (key.clone(), shown(&before, key), shown(&after, key))).collect()
}

/// All keys of a configuration, with their full paths.
pub fn keys(config: &Config) -> Vec<String> {
    flat(config).into_keys().collect()
}

/// Every value of a configuration under its full key; neither the schema's address nor the format is one.
pub fn flat(config: &Config) -> BTreeMap<String, Value> {
    fn walk(key: &str, value: &Value, all: &mut BTreeMap<String, Value>) {
        match value {
            Value::Object(section) => {
                let dot = if key.is_empty() { "" } else { "." };
                section.iter().for_each(|(name, value)| walk(&format!("{key}{dot}{name}"), value, all));
            }
            value => drop(all.insert(key.into(), value.clone())),
        }
    }
    let mut all = BTreeMap::new();
    walk("", &serde_json::to_value(config).unwrap_or_default(), &mut all);
    all.remove("$schema");
    all.remove("format");
    all
}
