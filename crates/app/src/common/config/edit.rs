//! Changes to single keys, and differences between two configurations.

use super::{Config, strict, strict::Problem, words};
use serde_json::{Map, Value, json};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// A change of one key: `KEY=VALUE`.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Full key.
    pub key: String,
    /// Value as it was typed.
    typed: String,
    value: Value,
}

/// Parses `KEY=VALUE` changes. A value is JSON, or else a string.
///
/// Returns them in the order in which they must be applied, whatever the order of `words`: a section before its keys,
/// and its `kind` before the others. A key that is given two values is an error.
pub fn changes(words: &[String]) -> Result<Vec<Change>, String> {
    let mut all: Vec<Change> = words.iter().map(|word| Change::read(word)).collect::<Result<_, _>>()?;
    all.sort_by_key(|change| (change.key.split('.').count(), Reverse(change.name() == "kind")));
    for (place, change) in all.iter().enumerate() {
        if let Some(other) = all[..place].iter().find(|other| other.key == change.key && other.value != change.value) {
            let (first, second) = (&other.typed, &change.typed);
            return Err(format!("--set {} is there twice, with {first} and with {second}: keep one", change.key));
        }
    }
    Ok(all)
}

/// Applies a change to `config`. A change of a `kind` drops the other options of its section, which belonged to the old
/// kind.
pub fn make(config: &mut Value, change: &Change) -> Result<(), String> {
    let (key, name) = (&change.key, change.name());
    if let Some((list, _)) = key.split_once('[') {
        return Err(format!("--set {key}: an item of a list cannot be set alone: give {list} whole"));
    }
    let whole = strict::typed(config).unwrap_or_default();
    let defaults = serde_json::to_value(whole).unwrap_or_default();
    let mut default = Some(&defaults);
    let mut at = config;
    let mut path = String::new();
    for part in key.split('.').take(key.split('.').count() - 1) {
        path = if path.is_empty() { part.into() } else { format!("{path}.{part}") };
        default = default.and_then(|default| default.get(part));
        let section = at.as_object_mut().ok_or_else(|| format!("--set {key}: the configuration is no section"))?;
        let inside = section.entry(part).or_insert(Value::Null);
        if inside.is_null() && default.is_none_or(|default| default.is_null() || default.is_object()) {
            // A missing section has default keys, but it needs its kind.
            let kind = default.and_then(|default| default.get("kind"));
            *inside = kind.map_or_else(|| json!({}), |kind| json!({ "kind": kind }));
        }
        if !inside.is_object() {
            let found = default.filter(|_| inside.is_null()).unwrap_or(&*inside);
            return Err(format!("--set {key}: {path} is no section, but {found}"));
        }
        at = inside;
    }
    let section = at.as_object_mut().ok_or_else(|| format!("--set {key}: the configuration is no section"))?;
    if name == "kind" && section.get(name) != Some(&change.value) {
        *section = Map::new();
    }
    section.insert(name.into(), change.value.clone());
    Ok(())
}

/// Returns the change that caused the problem at `path`, if one did.
pub fn guilty<'c>(changes: &'c [Change], path: &str) -> Option<&'c Change> {
    let inside = |whole: &str, part: &str| {
        part.strip_prefix(whole).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    // Changes are sorted: the last match has the longest key.
    let of = |find: &dyn Fn(&Change) -> bool| changes.iter().rev().find(|change| find(change));
    of(&|change| inside(&change.key, path)).or_else(|| of(&|change| !path.is_empty() && inside(path, &change.key)))
}

impl Change {
    fn read(word: &str) -> Result<Self, String> {
        let split =
            word.split_once('=').map(|(key, text)| (key.trim(), text.trim())).filter(|(key, _)| !key.is_empty());
        let (key, text) =
            split.ok_or_else(|| format!("--set {word}: expected KEY=VALUE, such as --set train.epochs=20"))?;
        if key == "format" {
            return Err("--set format: this program alone writes it: leave it out".into());
        }
        let value = match strict::parse(text) {
            Ok(value) => value,
            // Text that begins like JSON must be valid JSON, without duplicate keys.
            Err(problem) if text.starts_with(['{', '[', '"']) => return Err(format!("--set {key}: {problem}")),
            Err(_) => Value::String(text.into()),
        };
        Ok(Self { key: key.into(), typed: text.into(), value })
    }

    fn name(&self) -> &str {
        self.key.rsplit('.').next().unwrap_or_default()
    }

    /// Returns the message `said` about this change without its key where that is repeated, and with the text to type
    /// where quotes are missing.
    pub fn explain(&self, problem: &Problem, said: &str) -> String {
        let said = said.strip_prefix(&format!("{}: ", self.key)).unwrap_or(said);
        if problem.path == self.key
            && words::wants_text(&problem.said)
            && (self.value.is_number() || self.value.is_boolean())
        {
            return format!("{said}; quote it: --set '{}=\"{}\"'", self.key, self.typed);
        }
        said.into()
    }
}

/// Returns the keys whose values differ, as `(key, before, after)`; `-` stands for a missing key.
pub fn differences(before: &Config, after: &Config) -> Vec<(String, String, String)> {
    let (before, after) = (flat(before), flat(after));
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let shown = |all: &BTreeMap<String, Value>, key: &String| all.get(key).map_or("-".into(), Value::to_string);
    let differs = |key: &&String| before.get(*key) != after.get(*key);
    keys.into_iter().filter(differs).map(|key| (key.clone(), shown(&before, key), shown(&after, key))).collect()
}

/// Returns the full paths of all keys of a configuration.
pub fn keys(config: &Config) -> Vec<String> {
    flat(config).into_keys().collect()
}

/// Returns every value of a configuration by its full key, without `$schema` and `format`.
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
