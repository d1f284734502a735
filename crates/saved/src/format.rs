//! Format of the configurations that checkpoints and saved networks record, and the meaning of its older versions.
//!
//! Each recorded configuration names its format version. A key that an older format lacks means what that version did,
//! so a default may change for new runs and not for old ones. A key that was removed is accepted there, and only there.

use crate::Error;
use serde_json::{Map, Value, json};

/// Format version that is saved. Raise it with the first change since a release that needs a row in `CHANGES`.
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

/// Writes out all defaults of a configuration; `None` if it is not valid. Changes of sections that it does not know are
/// left out.
pub type Resolve<'r> = &'r dyn Fn(&Value) -> Option<Value>;

/// Upgrades a recorded configuration to the current format; `origin` names it in errors.
///
/// # Errors
///
/// [`Error::Configuration`] if a newer program recorded it, or its format is no number.
pub fn upgrade(config: &mut Value, origin: &str, resolve: Resolve) -> Result<(), Error> {
    let refused = |problem: String| Err(Error::Configuration { origin: origin.into(), problem });
    let format = match config.get("format") {
        None => UNNAMED,
        Some(format) => match format.as_u64() {
            None | Some(0) => {
                return refused(format!(": format: expected a number from 1 to {FORMAT}, found {format}"));
            }
            Some(format) => format,
        },
    };
    if format > FORMAT {
        return refused(format!(
            " has format {format}, and this program reads formats up to {FORMAT}: use the oxiseg that saved it, or a \
             newer one"
        ));
    }
    make(config, format, CHANGES, resolve);
    Ok(())
}

/// Returns true if `key` was removed: only recorded configurations may have it.
pub fn is_removed(key: &str) -> bool {
    CHANGES.iter().any(|(_, removed, before, now)| *removed == key && *before == "*" && now.is_empty())
}

/// Adds to `given`, the configuration of a resumed run, the keys that a newer format introduced and it does not name,
/// with the values that the run has `saved`: their new defaults are for new runs.
pub fn keep_young(given: &mut Value, saved: &Value, resolve: Resolve) {
    keep(given, saved, CHANGES, resolve);
}

fn keep(given: &mut Value, saved: &Value, changes: &[Change], resolve: Resolve) {
    for (_, key, ..) in changes.iter().filter(|(_, _, before, _)| before.is_empty()) {
        if let Some(value) = saved.pointer(&pointer(key)) {
            add(given, key, value, resolve);
        }
    }
}

/// Makes the `changes` since `format`, none of which changes the configuration's meaning.
fn make(config: &mut Value, format: u64, changes: &[Change], resolve: Resolve) {
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
            add(config, key, &now, resolve);
        }
    }
    if let Some(config) = config.as_object_mut() {
        config.insert("format".into(), FORMAT.into());
    }
}

/// Sets a missing key if the configuration can have it, i.e. if its resolved form does.
fn add(config: &mut Value, key: &str, value: &Value, resolve: Resolve) {
    let Some(resolved) = resolve(config) else { return };
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
pub(crate) fn section<'c, 'k>(config: &'c mut Value, key: &'k str) -> Option<(&'c mut Map<String, Value>, &'k str)> {
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
    use serde::{Deserialize, Serialize};

    /// A configuration with two kinds of models, of which one has attention.
    #[derive(Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Config {
        format: u64,
        model: Model,
        optimizer: Optimizer,
        train: Train,
    }

    #[derive(Serialize, Deserialize)]
    #[serde(tag = "kind", rename_all = "snake_case")]
    enum Model {
        Unet {
            #[serde(default)]
            attention: bool,
        },
        ResnetUnet {},
    }

    #[derive(Serialize, Deserialize, Default)]
    #[serde(default, deny_unknown_fields)]
    struct Optimizer {
        ema: Option<f64>,
    }

    #[derive(Serialize, Deserialize, Default)]
    #[serde(default, deny_unknown_fields)]
    struct Train {
        epochs: u64,
        seed: u64,
        threads: u64,
        mode: String,
        non_finite: NonFinite,
    }

    #[derive(Serialize, Deserialize, Default)]
    #[serde(default, deny_unknown_fields)]
    struct NonFinite {
        limit: u64,
    }

    impl Default for Config {
        fn default() -> Self {
            let model = Model::Unet { attention: false };
            Self { format: 0, model, optimizer: Optimizer::default(), train: Train::default() }
        }
    }

    fn resolve(config: &Value) -> Option<Value> {
        serde_json::to_value(Config::deserialize(config).ok()?).ok()
    }

    /// Changes as if format 2 had added `train.threads`, `model.attention` and two more, renamed the values of
    /// `train.mode`, and removed `train.warp` and `magic`.
    const SOME: &[Change] = &[
        (2, "train.threads", "", "7"),
        (2, "model.attention", "", "true"),
        (2, "optimizer.ema", "", "0.5"),
        (2, "train.non_finite.limit", "", "3"),
        (2, "train.mode", "true", r#""max""#),
        (2, "train.mode", "false", r#""min""#),
        (2, "train.warp", "*", ""),
        (2, "magic", "*", ""),
        (1, "train.seed", "", "9"),
    ];

    fn upgraded(mut config: Value, format: u64) -> Value {
        make(&mut config, format, SOME, &resolve);
        config
    }

    #[test]
    fn a_key_that_is_missing_means_what_the_older_version_did() {
        let old = upgraded(json!({"train": {"epochs": 3, "non_finite": {}}}), 1);
        assert_eq!(old.pointer("/train/threads"), Some(&json!(7)));
        assert_eq!(old.pointer("/train/non_finite/limit"), Some(&json!(3)));
        assert_eq!(old.pointer("/optimizer/ema"), Some(&json!(0.5)), "its section may be missing too");
        assert_eq!(old.pointer("/model"), Some(&json!({"kind": "unet", "attention": true})));
        assert_eq!(old.pointer("/train/seed"), None, "format 1 had it already");
        assert!(resolve(&old).is_some());
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
        assert!(resolve(&other).is_some());
    }

    #[test]
    fn other_words_and_removed_keys_are_accepted_of_older_formats_only() {
        let text = json!({"train": {"mode": false, "warp": [1]}, "magic": {"a": 1}});
        let old = upgraded(text.clone(), 1);
        assert_eq!((&old["train"]["mode"], old["train"].get("warp")), (&json!("min"), None));
        assert!(resolve(&old).is_some());
        assert!(resolve(&upgraded(text, 2)).is_none());
    }

    #[test]
    fn a_run_that_goes_on_keeps_what_it_has_of_keys_that_nobody_names() {
        let saved = json!({"train": {"threads": 7, "seed": 5, "epochs": 4}, "optimizer": {"ema": 0.5}});
        let mut given = json!({"optimizer": {"ema": null}});
        keep(&mut given, &saved, SOME, &resolve);
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

    #[test]
    fn one_of_a_newer_program_is_refused_with_the_way_out() {
        let said = |format: Value| upgrade(&mut json!({"format": format}), "a.json", &resolve).unwrap_err().to_string();
        assert!(said(json!(4)).starts_with("a.json has format 4, and this program reads formats up to 3"));
        for wrong in [json!("two"), json!(0), json!(-1), json!(1.5), json!(null)] {
            assert!(said(wrong).starts_with("a.json: format: expected a number from 1 to 3, found"));
        }
    }
}
