//! Finds the differences between configurations.

use serde_json::Value;
use std::collections::BTreeMap;

/// Full keys, and their values in one of several configurations.
pub type Differing = BTreeMap<String, Value>;

/// Maximum length of a value in a table.
const LONGEST: usize = 40;

/// Returns, for each configuration, its values of the keys that are not the same in all. A run without a configuration
/// has none, and does not make the others different.
pub fn differing(configs: &[Option<&Value>]) -> Vec<Differing> {
    let flat: Vec<Option<Differing>> = configs.iter().map(|config| config.map(flat)).collect();
    let known: Vec<&Differing> = flat.iter().flatten().collect();
    let differs = |key: &String| known.iter().any(|other| other.get(key) != known[0].get(key));
    let own = |config: &Differing| {
        config.iter().filter(|(key, _)| differs(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    flat.iter().map(|config| config.as_ref().map(own).unwrap_or_default()).collect()
}

fn flat(config: &Value) -> Differing {
    ::report::flat_items(config).into_iter().map(|(key, value)| (key, value.clone())).collect()
}

/// Formats `KEY=VALUE, KEY=VALUE` on lines of about `width` characters. Long values are cut.
pub fn lines(differing: &Differing, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for (key, value) in differing {
        let pair = format!("{key}={}", short(value));
        match lines.last_mut() {
            Some(line) if line.chars().count() + pair.chars().count() + 2 <= width => {
                line.push_str(&format!(", {pair}"))
            }
            Some(line) => {
                line.push(',');
                lines.push(pair);
            }
            None => lines.push(pair),
        }
    }
    lines
}

/// Formats a value for people: a word without its quotes, all else as JSON.
fn short(value: &Value) -> String {
    let text = match value {
        Value::String(word) if !word.contains(|c: char| c.is_control() || c == ',') => word.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_keys_with_different_values_are_named_each_with_the_own_value() {
        let a =
            json!({"train": {"seed": 1, "epochs": 2}, "data": {"size": [16, 16], "transforms": [{"kind": "flip"}]}});
        let b =
            json!({"train": {"seed": 3, "epochs": 2}, "data": {"size": [16, 32], "transforms": [{"kind": "crop"}]}});
        let found = differing(&[Some(&a), None, Some(&b), Some(&a)]);
        let lines: Vec<String> = found.iter().map(|differing| lines(differing, 100).join("\n")).collect();
        let of_a = "data.size=[16,16], data.transforms.0.kind=flip, train.seed=1";
        assert_eq!(lines, [of_a, "", "data.size=[16,32], data.transforms.0.kind=crop, train.seed=3", of_a]);
    }

    #[test]
    fn a_key_that_one_of_them_has_not_differs() {
        let (a, b) = (json!({"model": {"kind": "unet", "depth": 2}}), json!({"model": {"kind": "resnet_unet"}}));
        let found = differing(&[Some(&a), Some(&b)]);
        assert_eq!(found[0], [("model.depth".into(), json!(2)), ("model.kind".into(), json!("unet"))].into());
        assert_eq!(found[1], [("model.kind".into(), json!("resnet_unet"))].into());
    }

    #[test]
    fn one_run_or_runs_alike_differ_in_nothing() {
        let config = json!({"train": {"seed": 1}});
        for configs in [vec![], vec![None], vec![Some(&config)], vec![None, Some(&config), Some(&config)]] {
            assert!(differing(&configs).iter().all(Differing::is_empty), "{configs:?}");
        }
    }

    #[test]
    fn many_take_more_lines_and_long_ones_are_cut() {
        let config = json!({"a": 0.0003, "b": "x".repeat(50), "c": null, "d": "e, f", "g": "\u{1b}[31m"});
        let expected = ["a=0.0003,", &format!("b={}…,", "x".repeat(40)), "c=null, d=\"e, f\",", "g=\"\\u001b[31m\""];
        assert_eq!(lines(&flat(&config), 20), expected);
    }
}
