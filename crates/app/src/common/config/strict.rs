//! Strict JSON: no duplicate keys, no unknown keys, no wrong types. Errors name the key's full path.

use super::{Config, words};
use contract::Invalid;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// JSON value without duplicate keys. (serde_json would silently take the last.)
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(Strict(value)) = seq.next_element()? {
            all.push(value);
        }
        Ok(Value::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut all = Map::new();
        while let Some((key, Strict(value))) = map.next_entry::<String, Strict>()? {
            if all.contains_key(&key) {
                return Err(de::Error::custom(format!("the key \"{key}\" is there twice: remove one")));
            }
            all.insert(key, value);
        }
        Ok(Value::Object(all))
    }
}

/// A problem in a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Full key; empty for the configuration as a whole.
    pub path: String,
    /// Message of serde or of a check.
    pub said: String,
}

impl From<Invalid> for Problem {
    fn from(Invalid { key, problem }: Invalid) -> Self {
        Self { path: key, said: problem }
    }
}

/// Parses JSON; errors name the line.
pub fn parse(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map(|Strict(value)| value).map_err(|error| words::syntax(text, &error))
}

/// Deserializes the configuration; errors name the key.
pub fn typed(value: &Value) -> Result<Config, Problem> {
    let (path, said) = match attempt(value) {
        Ok(config) => {
            let resolved = serde_json::to_value(&config)
                .map_err(|error| Problem { path: String::new(), said: error.to_string() })?;
            return sections(value, &resolved, "").map(|()| config);
        }
        Err(error) => error,
    };
    // serde reads a section with a `kind` in two passes and then cannot say which key it failed at.
    let path = culprit(value, &path, &said);
    Err(Problem { path: if path == "." { String::new() } else { path }, said })
}

/// Rejects a list in the place of a section or a value (serde takes its items for the fields in their order), and a
/// path that only a shell can expand.
fn sections(given: &Value, resolved: &Value, path: &str) -> Result<(), Problem> {
    let problem = |said: String| Err(Problem { path: path.into(), said });
    match (given, resolved) {
        (Value::Object(given), Value::Object(resolved)) => given.iter().try_for_each(|(key, value)| {
            sections(value, resolved.get(key).unwrap_or(&Value::Null), &of_key(path, key))
        }),
        (Value::Array(given), Value::Array(resolved)) => {
            let mut items = given.iter().zip(resolved).enumerate();
            items.try_for_each(|(place, (given, resolved))| sections(given, resolved, &format!("{path}[{place}]")))
        }
        // The resolved form may omit a list that is a default.
        (Value::Array(_), Value::Null) => Ok(()),
        (Value::Array(_), Value::Object(_)) => problem(format!("expected a section in braces, found {given}")),
        (Value::Array(_), _) => problem(format!("expected a single value, found {given}")),
        (Value::String(text), _) if text.starts_with("~/") => {
            problem(format!("\"{text}\": only a shell knows what ~ is: write the whole path, or $HOME in a shell"))
        }
        // Shorthand: a name for a section with only a name, or a number for a limit. serde rejects the reverse by
        // itself.
        _ => Ok(()),
    }
}

fn of_key(path: &str, key: &str) -> String {
    if path.is_empty() || path == "." { key.into() } else { format!("{path}.{key}") }
}

fn attempt(value: &Value) -> Result<Config, (String, String)> {
    serde_path_to_error::deserialize(value).map_err(|error| (error.path().to_string(), error.inner().to_string()))
}

/// Returns whether `value` fails with exactly this problem.
fn fails(value: &Value, problem: &str) -> bool {
    attempt(value).is_err_and(|(_, found)| found == problem)
}

/// Returns the path of the value that makes `value` fail with `problem`: `path`, as far as serde can tell it, or a
/// place below it.
fn culprit(value: &Value, path: &str, problem: &str) -> String {
    let (mut value, mut path) = (value.clone(), path.to_owned());
    let steps = path.replace('[', ".").replace(']', "");
    let mut pointer = if path == "." { String::new() } else { format!("/{}", steps.replace('.', "/")) };
    loop {
        let step = match value.pointer(&pointer) {
            Some(Value::Array(_)) => {
                wrong_item(&mut value, &pointer, problem).map(|place| (format!("{path}[{place}]"), place.to_string()))
            }
            Some(Value::Object(_)) => wrong_key(&mut value, &pointer, problem)
                .map(|key| (of_key(&path, &key), key.replace('~', "~0").replace('/', "~1"))),
            _ => None,
        };
        let Some((below, token)) = step else { return path };
        (path, pointer) = (below, format!("{pointer}/{token}"));
    }
}

/// Returns the index of the item with the problem in the list at `pointer`. Drops the items after it, which may have
/// the same problem.
fn wrong_item(value: &mut Value, pointer: &str, problem: &str) -> Option<usize> {
    let items = value.pointer(pointer)?.as_array()?.clone();
    let mut before = fails(&with(value, pointer, Value::Array(Vec::new()))?, problem);
    for place in 0..items.len() {
        let shorter = with(value, pointer, items[..=place].into())?;
        // If the problem occurs without the item, its cause is elsewhere.
        let after = fails(&shorter, problem);
        if after && !before {
            *value = shorter;
            // If the list is too short or too long, none of its numbers is to blame.
            let section = items[place].is_object() || items[place].is_array();
            return (section || !problem.starts_with("invalid length")).then_some(place);
        }
        before = after;
    }
    None
}

/// Returns the key with the problem in the section at `pointer`. Drops other keys with the same problem.
fn wrong_key(value: &mut Value, pointer: &str, problem: &str) -> Option<String> {
    let section = value.pointer(pointer)?.as_object()?.clone();
    let mut required = Vec::new();
    for (key, option) in &section {
        let without = without(value, pointer, key)?;
        match attempt(&without) {
            // The problem may be a missing `kind` in another section.
            _ if key == "kind" => required.push((key, option)),
            Err((_, found)) if found == problem => *value = without,
            // Without a required key the problem is another one, whether or not the key caused it.
            Err((_, found)) if found.starts_with("missing field") => required.push((key, option)),
            _ => return Some(key.clone()),
        }
    }
    // A missing field is missing from a section, so no single value is to blame. A wrong kind is the fault of `kind`,
    // which comes last, because without it everything fails in another way.
    let missing = problem.starts_with("missing field");
    required.retain(|(_, option)| !missing || option.is_array() || option.is_object());
    required.sort_by_key(|(key, _)| *key == "kind");
    let guilty = |key: &str| without(value, pointer, key).is_some_and(|without| !fails(&without, problem));
    required.into_iter().map(|(key, _)| key).find(|key| guilty(key)).cloned()
}

/// Returns `value` with `part` at `pointer`.
fn with(value: &Value, pointer: &str, part: Value) -> Option<Value> {
    let mut changed = value.clone();
    *changed.pointer_mut(pointer)? = part;
    Some(changed)
}

/// Returns `value` without a key of the section at `pointer`.
fn without(value: &Value, pointer: &str, key: &str) -> Option<Value> {
    let mut section = value.pointer(pointer)?.as_object()?.clone();
    section.remove(key);
    with(value, pointer, section.into())
}
