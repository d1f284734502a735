//! JSON that means what it says: no key twice, no unknown key, no wrong type; errors name the key's full path.

use super::Config;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// A JSON value in which no object has a key twice. (serde_json would silently take the last.)
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

/// Reads JSON; errors name the line.
pub fn parse(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map(|Strict(value)| value).map_err(|error| error.to_string())
}

/// The configuration that `value` describes; errors name the key.
pub fn typed(value: &Value) -> Result<Config, String> {
    let (path, problem) = match attempt(value) {
        Ok(config) => {
            let resolved = serde_json::to_value(&config).map_err(|error| error.to_string())?;
            return sections(value, &resolved, "").map(|()| config);
        }
        Err(error) => error,
    };
    // serde reads a section with a `kind` in two passes and then cannot say which key it failed at. Look for the one
    // without which it would not have failed, or not so.
    // A field that is missing is missing from the section, and no key of it is to blame.
    let culprit = if problem.starts_with("missing field") { None } else { culprit(value, &path, &problem) };
    match culprit.unwrap_or(path) {
        root if root == "." => Err(problem),
        path => Err(format!("{path}: {problem}")),
    }
}

/// Refuses a list where a section belongs: serde takes its items for the fields in their order.
fn sections(given: &Value, resolved: &Value, path: &str) -> Result<(), String> {
    let Value::Object(resolved) = resolved else { return Ok(()) };
    let Value::Object(given) = given else {
        return Err(format!("{path}: expected a section in braces, found {given}").trim_start_matches(": ").into());
    };
    for (key, value) in given {
        let dot = if path.is_empty() { "" } else { "." };
        sections(value, resolved.get(key).unwrap_or(&Value::Null), &format!("{path}{dot}{key}"))?;
    }
    Ok(())
}

fn attempt(value: &Value) -> Result<Config, (String, String)> {
    serde_path_to_error::deserialize(value).map_err(|error| (error.path().to_string(), error.inner().to_string()))
}

fn culprit(value: &Value, path: &str, problem: &str) -> Option<String> {
    let pointer = format!("/{}", path.replace('.', "/"));
    let section = value.pointer(&pointer)?.as_object()?;
    // The kind comes last: without it everything fails in another way.
    let (kind, options): (Vec<&String>, Vec<&String>) = section.keys().partition(|key| *key == "kind");
    for key in options.into_iter().chain(kind) {
        let mut without = value.clone();
        without.pointer_mut(&pointer)?.as_object_mut()?.remove(key);
        if attempt(&without).err().is_none_or(|(_, other)| other != problem) {
            let path = format!("{path}.{key}");
            return culprit(value, &path, problem).or(Some(path));
        }
    }
    None
}
