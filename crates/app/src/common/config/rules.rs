//! Rules for keys that change between a checkpoint and the run that resumes from it.
//!
//! Each key's rule stands beside it, in the crate that owns it, as `x-resume` in its schema. On a section's field or
//! struct it holds for all keys below that have none; on an enum it is the rule of the `kind`.

use super::keys::{OF_FILE, under};
use super::schema::{SCHEMA, kind, target, ways};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Rule for a changed key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// May change freely: affects neither existing weights nor the network's input.
    Safe,
    /// Changes the training: needs `--allow`.
    Ask,
    /// May not change: weights or optimizer state would mean something else, or not fit.
    Refuse,
}

/// Keys of all kinds, and sections that may be null. `None` for a key without a rule.
type Rules = BTreeMap<String, Option<Rule>>;

static RULES: LazyLock<Rules> = LazyLock::new(|| rules(&SCHEMA));

/// Returns the rule of a key, or of the section that it is in. A key without one needs `--allow`.
pub fn rule(key: &str) -> Rule {
    let sections = key.rmatch_indices(['.', '[']).map(|(end, _)| &key[..end]);
    std::iter::once(key).chain(sections).find_map(|key| *RULES.get(key)?).unwrap_or(Rule::Ask)
}

/// Returns the keys that may change freely, each section before its keys.
pub fn may_change() -> impl Iterator<Item = &'static str> {
    RULES.iter().filter(|(_, rule)| **rule == Some(Rule::Safe)).map(|(key, _)| key.as_str())
}

/// Returns the rules that a schema declares.
fn rules(root: &Value) -> Rules {
    let mut rules = Rules::new();
    collect(root, root, "", None, &mut rules);
    rules.retain(|key, _| !OF_FILE.contains(&key.as_str()));
    rules
}

/// Adds the rules of the key at `path` and of those below it; `above` is the rule of its section.
fn collect(root: &Value, field: &Value, path: &str, above: Option<Rule>, rules: &mut Rules) {
    let own = |schema: &Value| Rule::deserialize(schema.get("x-resume")?).ok();
    let above = own(field).or(above);
    if let Some(form) = ways(field, "anyOf").first().filter(|form| target(root, form).get("properties").is_some()) {
        add(rules, path, above);
        return collect(root, form, path, above, rules);
    }
    let schema = target(root, field);
    let variants = ways(schema, "oneOf");
    if variants.iter().all(|variant| kind(variant).is_none()) {
        let above = own(field).or(own(schema)).or(above);
        match schema["properties"].as_object() {
            Some(keys) => keys.iter().for_each(|(name, key)| collect(root, key, &under(path, name), above, rules)),
            None => add(rules, path, above),
        }
        return;
    }
    for variant in variants {
        let above = own(variant).or(above);
        for (name, key) in variant["properties"].as_object().into_iter().flatten() {
            match name.as_str() {
                "kind" => add(rules, &under(path, name), own(schema).or(above)),
                _ => collect(root, key, &under(path, name), above, rules),
            }
        }
    }
}

/// Adds the rule of a key; the strictest, where kinds differ.
fn add(rules: &mut Rules, key: &str, rule: Option<Rule>) {
    let known = rules.entry(key.into()).or_insert(rule);
    *known = known.zip(rule).map(|(known, rule)| known.max(rule));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the places of the rules in a schema.
    fn declared(value: &Value, place: &str, found: &mut Vec<String>) {
        let mut inside = |name: &str, value: &Value| declared(value, &format!("{place}/{name}"), found);
        match value {
            Value::Object(section) => section.iter().for_each(|(name, value)| inside(name, value)),
            Value::Array(items) => items.iter().enumerate().for_each(|(item, value)| inside(&item.to_string(), value)),
            _ if place.ends_with("/x-resume") => found.push(place.into()),
            _ => {}
        }
    }

    #[test]
    fn every_key_has_a_rule() {
        let without: Vec<_> = RULES.iter().filter(|(_, rule)| rule.is_none()).map(|(key, _)| key).collect();
        assert!(without.is_empty(), "#[schemars(extend(\"x-resume\" = …))] is missing for {without:?}");
        assert!(RULES.len() > 100, "{} keys", RULES.len());
        for key in ["data.kind", "data.split.fold", "model.layers", "model.weights", "optimizer.rule.nesterov"] {
            assert!(RULES.contains_key(key), "{key} is no key");
        }
    }

    #[test]
    fn every_rule_decides_about_a_key() {
        let mut places = Vec::new();
        declared(&SCHEMA, "", &mut places);
        assert!(places.len() > 60, "{places:?}");
        for place in places {
            let rule = SCHEMA.pointer(&place).unwrap();
            Rule::deserialize(rule).unwrap_or_else(|error| panic!("{place}: {error}"));
            let matters = ["safe", "ask", "refuse", "none"].iter().any(|other| {
                let mut changed = SCHEMA.clone();
                *changed.pointer_mut(&place).unwrap() = (*other).into();
                rules(&changed) != *RULES
            });
            assert!(matters, "{place}: no key has this rule");
        }
    }

    #[test]
    fn a_key_has_the_rule_of_its_section_and_an_unknown_one_is_asked_about() {
        for (key, expected) in [
            ("train.epochs", Rule::Safe),
            ("train.seed", Rule::Ask),
            ("train.non_finite.policy", Rule::Safe),
            ("distributed.timeout_seconds", Rule::Safe),
            ("distributed.sync_batch_norm", Rule::Ask),
            ("checkpoint.keep_last", Rule::Safe),
            ("checkpoint.every_steps", Rule::Safe),
            ("model.kind", Rule::Refuse),
            ("model.width", Rule::Refuse),
            ("model.weights", Rule::Safe),
            ("model.weights.path", Rule::Safe),
            ("model.dropout", Rule::Ask),
            ("model.fused", Rule::Ask),
            ("data.loader.cache_folder", Rule::Safe),
            ("data.loader.max_skipped", Rule::Safe),
            ("data.loader.batch_size", Rule::Ask),
            ("data.transforms[0].probability", Rule::Ask),
            ("data.normalize.mean[0]", Rule::Ask),
            ("data.labels.map.7", Rule::Ask),
            ("data.channels", Rule::Refuse),
            ("data.classes", Rule::Refuse),
            ("optimizer.rule.kind", Rule::Refuse),
            ("optimizer.rule.beta1", Rule::Ask),
            ("optimizer.learning_rate", Rule::Ask),
            ("schedule.decay.kind", Rule::Ask),
            ("data.train", Rule::Ask),
            ("a.key.of.tomorrow", Rule::Ask),
        ] {
            assert_eq!(rule(key), expected, "{key}");
        }
    }
}
