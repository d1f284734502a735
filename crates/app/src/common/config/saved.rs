//! Configurations that this program saved in a run folder, a checkpoint or a saved network.
//!
//! Each names its format version. A key that an older format lacks means what that version did, so a default may change
//! for new runs and not for old ones. A key that was removed is accepted there, and only there.

use super::schema::typed;
use super::{Config, strict};
use crate::common::usage::usage;
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

/// Format version that this program saves. Raise it with the first change since a release that needs a row in
/// [`CHANGES`].
pub const FORMAT: u64 = 3;

/// Format version of configurations that name none: those of commit 7827b7c and before.
const UNNAMED: u64 = 1;

/// A change of the format: `(format, key, before, now)`.
///
/// In a configuration of a format below `format`, a `key` whose value is `before` is set to `now`. Both are JSON. An
/// empty `before` matches a missing key, and `"*"` any value; an empty `now` removes the key. A missing key is added
/// only where the section has it, which may depend on its `kind`.
type Change = (u64, &'static str, &'static str, &'static str);

/// All changes, one line each.
#[rustfmt::skip]
const CHANGES: &[Change] = &[
    (2, "data.orientation", "", "\"ignore\""), // Images were read as stored, whatever their EXIF orientation.
    (3, "summary.rotate_mb", "*", ""), // TensorBoard's files were continued in new ones.
];

impl Config {
    /// Returns the configuration as it is saved: with all defaults written out, and its format version.
    pub fn saved(&self) -> Result<Value> {
        let saved = Self { schema: None, format: Some(FORMAT), ..self.clone() };
        serde_json::to_value(saved).context("writing the configuration as JSON")
    }

    /// Returns [`Config::saved`] as text.
    pub fn resolved(&self) -> Result<String> {
        let saved = Self { schema: None, format: Some(FORMAT), ..self.clone() };
        let mut text = serde_json::to_string_pretty(&saved).context("writing the configuration as JSON")?;
        text.push('\n');
        Ok(text)
    }
}

/// Parses a configuration that this program saved, and upgrades it to the current format.
pub fn saved(text: &str, origin: &str) -> Result<Value> {
    let mut value = strict::parse(text).map_err(|error| usage(format!("{origin}: {error}")))?;
    let format = match value.get("format") {
        Some(format) => format
            .as_u64()
            .filter(|format| *format > 0)
            .ok_or_else(|| usage(format!("{origin}: format: expected a number from 1 to {FORMAT}, found {format}")))?,
        None => UNNAMED,
    };
    if format > FORMAT {
        return Err(usage(format!(
            "{origin} has format {format}, and this program reads formats up to {FORMAT}: use the oxiseg that saved it, or \
             a newer one"
        )));
    }
    upgrade(&mut value, format, CHANGES);
    Ok(value)
}

/// Returns whether `key` was removed: only saved configurations may have it.
pub fn is_removed(key: &str) -> bool {
    CHANGES.iter().any(|(_, removed, before, now)| *removed == key && *before == "*" && now.is_empty())
}

/// Adds to `given`, the configuration of a resumed run, the keys that [`CHANGES`] introduced and it does not name, with
/// the values that the run has `saved`: their new defaults are for new runs.
pub fn keep_young(given: &mut Value, saved: &Value) {
    keep(given, saved, CHANGES);
}

fn keep(given: &mut Value, saved: &Value, changes: &[Change]) {
    for (_, key, ..) in changes.iter().filter(|(_, _, before, _)| before.is_empty()) {
        if let Some(value) = saved.pointer(&pointer(key)) {
            add(given, key, value);
        }
    }
}

/// Upgrades a configuration of an older `format` to the current one, without changing its meaning.
fn upgrade(config: &mut Value, format: u64, changes: &[Change]) {
    let due = || changes.iter().filter(|(since, ..)| format < *since);
    for (_, key, before, now) in due().filter(|(_, _, before, _)| !before.is_empty()) {
        let matches =
            |value: &Value| *before == "*" || serde_json::from_str::<Value>(before).is_ok_and(|old| old == *value);
        let Some((section, name)) = section(config, key) else { continue };
        if section.get(name).is_some_and(matches) {
            match serde_json::from_str(now) {
                Ok(now) => drop(section.insert(name.into(), now)),
                Err(_) => drop(section.remove(name)),
            }
        }
    }
    // Comes last, since the changes above decide which keys a section has.
    for (_, key, _, now) in due().filter(|(_, _, before, _)| before.is_empty()) {
        if let Ok(now) = serde_json::from_str(now) {
            add(config, key, &now);
        }
    }
    if let Some(config) = config.as_object_mut() {
        config.insert("format".into(), FORMAT.into());
    }
}

/// Sets a missing key if the configuration can have it, i.e. if its resolved form does.
fn add(config: &mut Value, key: &str, value: &Value) {
    let Some(resolved) = typed(config).ok().and_then(|config| serde_json::to_value(config).ok()) else {
        return;
    };
    if resolved.pointer(&pointer(key)).is_none() || config.pointer(&pointer(key)).is_some() {
        return;
    }
    let (mut at, mut resolved) = (config, &resolved);
    for part in key.split('.') {
        if !at.is_object() {
            // A missing section has its default kind.
            *at = resolved.get("kind").map_or_else(|| json!({}), |kind| json!({ "kind": kind }));
        }
        (at, resolved) = (&mut at[part], &resolved[part]);
    }
    *at = value.clone();
}

/// Returns the section that holds a key, and the key's name there.
fn section<'c, 'k>(config: &'c mut Value, key: &'k str) -> Option<(&'c mut Map<String, Value>, &'k str)> {
    let (path, name) = key.rsplit_once('.').unwrap_or(("", key));
    let path = if path.is_empty() { String::new() } else { pointer(path) };
    Some((config.pointer_mut(&path)?.as_object_mut()?, name))
}

fn pointer(key: &str) -> String {
    format!("/{}", key.replace('.', "/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_configuration_says_its_format_and_reads_back() {
        let saved = Config::default().saved().unwrap();
        assert_eq!(saved["format"], json!(FORMAT));
        let read = Config::parse_saved(&saved.to_string(), "config.json").unwrap();
        assert_eq!(read.saved().unwrap(), saved);
        assert!(super::super::differences(&read, &Config::default()).is_empty(), "the format is no key to compare");
    }

    #[test]
    fn files_of_an_older_run_stay_as_they_are_stored() {
        let data = json!({"kind": "folders", "root": "d", "classes": ["a", "b"]});
        let read = |config: Value| Config::parse_saved(&config.to_string(), "config.json").unwrap().data.orientation();
        assert_eq!(read(json!({ "data": data })), data::Orientation::Ignore);
        assert_eq!(read(json!({ "format": 2, "data": data })), data::Orientation::Apply);
        assert_eq!(
            Config::parse(&json!({ "data": data }).to_string(), "mine.json").unwrap().data.orientation(),
            data::Orientation::Apply
        );
        // Drawn data sets have no such key.
        Config::parse_saved(&json!({"data": {"kind": "shapes"}}).to_string(), "config.json").unwrap();
    }

    #[test]
    fn one_of_a_newer_program_is_refused_with_the_way_out() {
        let error = Config::parse_saved(r#"{"format": 4}"#, "runs/x/config.json").unwrap_err();
        assert!(error.is::<crate::common::usage::Usage>());
        assert!(error.to_string().starts_with("runs/x/config.json has format 4, and this program reads"), "{error}");
        for wrong in [r#""two""#, "0", "-1", "1.5", "null"] {
            let error = Config::parse(&format!(r#"{{"format": {wrong}}}"#), "my.json").unwrap_err().to_string();
            assert!(error.starts_with("my.json: format: expected a number from 1 to 3, found"), "{error}");
        }
    }

    #[test]
    fn a_removed_key_is_accepted_in_saved_configurations_and_refused_in_others() {
        let saved = |format: u64| json!({ "format": format, "summary": { "rotate_mb": 256, "images": 2 } }).to_string();
        for format in [1, 2] {
            assert_eq!(Config::parse_saved(&saved(format), "config.json").unwrap().summary.images, 2);
        }
        let refused = |found: Result<Config>| found.unwrap_err().to_string();
        let said = "summary.rotate_mb: this key was removed: leave it out";
        let own = r#"{"summary": {"rotate_mb": 256}}"#;
        assert_eq!(refused(Config::parse(own, "my.json")), format!("my.json: {said}"));
        assert_eq!(refused(Config::parse_saved(&saved(3), "config.json")), format!("config.json: {said}"));
        let set = Config::default().with(&["summary.rotate_mb=5".into()]);
        assert_eq!(refused(set), "--set summary.rotate_mb: this key was removed: leave it out");
    }

    /// Changes as if format 2 had added `train.threads`, `model.attention` and two more, renamed the values of
    /// `checkpoint.mode`, and removed `train.warp` and `magic`.
    const SOME: &[Change] = &[
        (2, "train.threads", "", "7"),
        (2, "model.attention", "", "true"),
        (2, "optimizer.ema", "", "0.5"),
        (2, "train.non_finite.limit", "", "3"),
        (2, "checkpoint.mode", "true", r#""max""#),
        (2, "checkpoint.mode", "false", r#""min""#),
        (2, "train.warp", "*", ""),
        (2, "magic", "*", ""),
        (1, "train.seed", "", "9"),
    ];

    fn upgraded(mut config: Value, format: u64) -> Value {
        upgrade(&mut config, format, SOME);
        config
    }

    #[test]
    fn a_key_that_is_missing_means_what_the_older_version_did() {
        let old = upgraded(json!({"train": {"epochs": 3, "non_finite": {}}}), 1);
        assert_eq!(old.pointer("/train/threads"), Some(&json!(7)));
        assert_eq!(old.pointer("/train/non_finite/limit"), Some(&json!(3)));
        assert_eq!(old.pointer("/optimizer/ema"), Some(&json!(0.5)), "its section may be missing too");
        assert_eq!(old.pointer("/train/seed"), None, "format 1 had it already");
        let config = Config::built(old, &[], "config.json").unwrap();
        assert_eq!((config.train.threads, config.train.epochs, config.optimizer.ema), (7, 3, Some(0.5)));
        let said = upgraded(json!({"train": {"threads": 2}}), 1);
        assert_eq!(said.pointer("/train/threads"), Some(&json!(2)));
        let new = upgraded(json!({"train": {"epochs": 3}}), 2);
        assert_eq!(new, json!({"train": {"epochs": 3}, "format": FORMAT}));
    }

    #[test]
    fn a_key_is_added_only_to_a_section_whose_kind_has_it() {
        let unet = upgraded(json!({"model": {"kind": "unet"}}), 1);
        assert_eq!(unet.pointer("/model/attention"), Some(&json!(true)));
        let other = upgraded(json!({"model": {"kind": "resnet_unet"}, "train": {"warp": 1}}), 1);
        assert_eq!(other.pointer("/model"), Some(&json!({"kind": "resnet_unet"})));
        Config::built(other, &[], "config.json").unwrap();
    }

    #[test]
    fn other_words_and_removed_keys_are_accepted_of_older_formats_only() {
        let text = json!({"checkpoint": {"mode": false}, "train": {"warp": [1]}, "magic": {"a": 1}});
        let old = upgraded(text.clone(), 1);
        assert_eq!((&old["checkpoint"], old["train"].get("warp")), (&json!({"mode": "min"}), None));
        Config::built(old, &[], "config.json").unwrap();
        Config::built(upgraded(text.clone(), 2), &[], "config.json").unwrap_err();
        Config::parse(&text.to_string(), "my.json").unwrap_err();
    }

    #[test]
    fn a_run_that_goes_on_keeps_what_it_has_of_keys_that_nobody_names() {
        let saved = json!({"train": {"threads": 7, "seed": 5, "epochs": 4}, "optimizer": {"ema": 0.5}});
        let mut given = json!({"optimizer": {"ema": null}});
        keep(&mut given, &saved, SOME);
        assert_eq!(given, json!({"optimizer": {"ema": null}, "train": {"threads": 7, "seed": 5}}));
    }

    #[test]
    fn each_change_is_one_that_can_be_made() {
        for (format, key, before, now) in CHANGES {
            assert!((2..=FORMAT).contains(format), "{key}: there is no format {format}");
            for value in [before, now].into_iter().filter(|value| !value.is_empty() && **value != "*") {
                serde_json::from_str::<Value>(value).unwrap_or_else(|error| panic!("{key}: {value}: {error}"));
            }
            assert!(!(before.is_empty() && now.is_empty()), "{key} changes nothing");
        }
    }
}
