//! Configurations as lists of dotted keys, and their comparison.

use crate::text;
use serde_json::Value;

/// One key with its value in each configuration; `None` if a configuration lacks the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub key: String,
    pub values: Vec<Option<String>>,
}

impl Row {
    /// Returns true if the configurations differ here.
    pub fn differs(&self) -> bool {
        self.values.windows(2).any(|pair| pair[0] != pair[1])
    }
}

/// Returns all keys of the configurations, sorted by section and within a section in the order of first occurrence.
pub(crate) fn beside(configs: &[&Value]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for (column, config) in configs.iter().enumerate() {
        for (key, value) in flat_items(config) {
            let place = rows.iter().position(|row| row.key == key).unwrap_or_else(|| {
                rows.push(Row { key, values: vec![None; configs.len()] });
                rows.len() - 1
            });
            rows[place].values[column] = Some(text::value(value));
        }
    }
    // A key that only a later configuration has stands in its section, not at the end.
    rows.sort_by(|a, b| a.key.split('.').next().cmp(&b.key.split('.').next()));
    rows
}

/// Returns every value of a configuration with its dotted key, in the order of the configuration. A list is one value.
pub fn flat(config: &Value) -> Vec<(String, &Value)> {
    leaves("", config, false)
}

/// Like [`flat`], but takes lists apart that hold sections or lists: `data.transforms.0.kind`. A list of plain values,
/// for example a size, stays one value.
pub fn flat_items(config: &Value) -> Vec<(String, &Value)> {
    leaves("", config, true)
}

fn leaves<'c>(key: &str, value: &'c Value, apart: bool) -> Vec<(String, &'c Value)> {
    let under = |name: &str| if key.is_empty() { name.to_string() } else { format!("{key}.{name}") };
    match value {
        Value::Object(section) if !section.is_empty() => {
            section.iter().flat_map(|(name, value)| leaves(&under(name), value, apart)).collect()
        }
        Value::Array(list) if apart && list.iter().any(|item| item.is_object() || item.is_array()) => {
            list.iter().enumerate().flat_map(|(place, item)| leaves(&under(&place.to_string()), item, apart)).collect()
        }
        leaf => vec![(key.to_string(), leaf)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_are_dotted_and_lists_of_plain_values_stay_whole() {
        let config = json!({"data": {"size": [128, 96], "transforms": [{"kind": "flip"}], "groups": []}, "seed": null});
        let rows = beside(&[&config]);
        let found: Vec<(&str, &str)> =
            rows.iter().map(|row| (row.key.as_str(), row.values[0].as_deref().unwrap())).collect();
        let expected =
            [("data.groups", "[]"), ("data.size", "[128,96]"), ("data.transforms.0.kind", "flip"), ("seed", "null")];
        assert_eq!(found, expected);
        assert!(rows.iter().all(|row| !row.differs()));
    }

    #[test]
    fn a_key_differs_where_a_value_does_or_is_missing() {
        let a = json!({"x": {"same": 1, "rate": 0.1, "only_a": true}, "y": 1});
        let b = json!({"x": {"same": 1, "rate": 0.2, "only_b": true}, "y": 1});
        let rows = beside(&[&a, &b]);
        let differing: Vec<&str> = rows.iter().filter(|row| row.differs()).map(|row| row.key.as_str()).collect();
        assert_eq!(differing, ["x.only_a", "x.rate", "x.only_b"]);
        assert_eq!(rows.iter().find(|row| row.key == "x.only_b").unwrap().values, [None, Some("true".into())]);
        assert_eq!(rows.last().unwrap().key, "y");
    }
}
