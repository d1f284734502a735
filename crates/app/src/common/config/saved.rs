//! Configurations that this program saved in a run folder, a checkpoint or a saved network.
//!
//! Each names its format version, and keeps its meaning when the format changes (`crates/saved/src/format.rs`).

use super::schema::typed;
use super::{Config, strict};
use crate::common::usage::usage;
use ::saved::FORMAT;
use anyhow::{Context, Result};
use serde_json::Value;

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
    ::saved::upgrade(&mut value, origin, &resolve).map_err(|error| usage(error.to_string()))?;
    Ok(value)
}

/// Adds to `given`, the configuration of a resumed run, the keys that a newer format introduced and it does not name,
/// with the values that the run has `saved`: their new defaults are for new runs.
pub fn keep_young(given: &mut Value, saved: &Value) {
    ::saved::keep_young(given, saved, &resolve);
}

fn resolve(config: &Value) -> Option<Value> {
    serde_json::to_value(typed(config).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
}
