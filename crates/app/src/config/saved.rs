//! Configurations that this program saved: in a run folder, a checkpoint, a saved network.
//!
//! They say which format they have. A key that an older format lacks means what that version did, so a default may
//! change for new runs and not for old ones; a key that was removed is accepted there, and only there.

use super::{Config, strict};
use crate::usage::usage;
use anyhow::Result;
use serde_json::Value;

/// The format that this program saves. Raise it, and extend [`upgrade`], when a default changes or a key is removed.
pub const FORMAT: u64 = 2;

/// The format of configurations that name none: those of commit 7827b7c and before.
const UNNAMED: u64 = 1;

impl Config {
    /// Reads a configuration that this program saved; `origin` names it in errors.
    ///
    /// # Errors
    ///
    /// Fails where a newer program saved it.
    pub fn parse_saved(text: &str, origin: &str) -> Result<Self> {
        let mut value = strict::parse(text).map_err(|error| usage(format!("{origin}: {error}")))?;
        let format = match value.get("format") {
            Some(format) => format.as_u64().ok_or_else(|| {
                usage(format!("{origin}: format: expected a number from 1 to {FORMAT}, found {format}"))
            })?,
            None => UNNAMED,
        };
        if format > FORMAT {
            return Err(usage(format!(
                "{origin} has format {format}, and this program reads formats up to {FORMAT}: use the oxiseg that saved it, \
                 or a newer one"
            )));
        }
        upgrade(&mut value, format);
        Self::typed(value, origin)
    }
}

/// Says in the current format what a configuration of an older `format` meant.
fn upgrade(config: &mut Value, format: u64) {
    if format < 2 {
        // Files were read as they are stored, whatever they note of their orientation.
        let of_files = config.pointer("/data/kind").is_some_and(|kind| kind != "shapes");
        if let Some(data) = config.get_mut("data").and_then(Value::as_object_mut).filter(|_| of_files) {
            data.entry("orientation").or_insert("ignore".into());
        }
    }
    if let Some(config) = config.as_object_mut() {
        config.insert("format".into(), FORMAT.into());
    }
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
        // What is drawn has no key for it.
        Config::parse_saved(&json!({"data": {"kind": "shapes"}}).to_string(), "config.json").unwrap();
    }

    #[test]
    fn one_of_a_newer_program_is_refused_with_the_way_out() {
        let error = Config::parse_saved(r#"{"format": 3}"#, "runs/x/config.json").unwrap_err();
        assert!(error.is::<crate::usage::Usage>());
        assert!(error.to_string().starts_with("runs/x/config.json has format 3, and this program reads"), "{error}");
        let error = Config::parse(r#"{"format": "two"}"#, "my.json").unwrap_err().to_string();
        assert!(error.starts_with("my.json: format: expected a number from 1 to 2"), "{error}");
    }
}
