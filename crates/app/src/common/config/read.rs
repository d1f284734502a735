//! Reads configurations: those of files, with changes of the command line, and those that this program saved.

use super::schema::{Problem, typed};
use super::{Config, Device, SHAPES, edit, saved, strict, text};
use crate::cli::Configured;
use crate::common::usage::usage;
use anyhow::Result;
use serde_json::Value;
use std::path::Path;

impl Config {
    /// Parses a configuration, handwritten or saved; `origin` names it in errors.
    #[cfg(test)]
    pub fn parse(text: &str, origin: &str) -> Result<Self> {
        Self::built(value(text, origin)?, &[], origin)
    }

    /// Reads a saved configuration (see [`Config::saved`]) from a file.
    pub fn read_saved(file: &Path) -> Result<Self> {
        Self::parse_saved(&text::read(file)?, &file.display().to_string())
    }

    /// Returns the configuration that the command line selects.
    pub fn configured(args: &Configured) -> Result<Self> {
        Self::given(args.config.as_deref(), &args.set, None)
    }

    /// Returns the configuration of `file`, or the built-in one, with `KEY=VALUE` changes. If it resumes `run`, a key
    /// that it does not name, and whose default changed since the run began, keeps the run's value.
    pub fn given(file: Option<&Path>, changes: &[String], run: Option<&Self>) -> Result<Self> {
        let (text, origin) = match file {
            Some(file) => (text::read(file).map_err(|error| usage(format!("{error:#}")))?, file.display().to_string()),
            None => (SHAPES.into(), "configs/shapes.json".into()),
        };
        let mut value = value(&text, &origin)?;
        if let Some(run) = run {
            saved::keep_young(&mut value, &run.saved()?);
        }
        Self::built(value, changes, &origin)
    }

    /// Returns this configuration with `KEY=VALUE` changes, checked as if they stood in the file.
    pub fn with(&self, changes: &[String]) -> Result<Self> {
        Self::built(serde_json::to_value(self)?, changes, "the configuration")
    }

    /// Returns this configuration without settings that hold only where it was saved: no cache is written to a path
    /// that somebody else chose, and a machine without a GPU uses the CPU.
    pub fn elsewhere(&self) -> Result<Self> {
        let mut changes = vec!["data.loader.cache_folder=null", "data.loader.cache=none"];
        if self.train.device == Device::Cuda {
            changes.push("train.device=auto");
        }
        self.with(&changes.into_iter().map(String::from).collect::<Vec<_>>())
    }

    /// Returns the configuration that `value` describes once all `changes` are applied. Only then is it checked.
    pub(super) fn built(value: Value, changes: &[String], origin: &str) -> Result<Self> {
        let changes = edit::changes(changes).map_err(usage)?;
        let checked = |value: &Value| -> Result<Self, Problem> {
            let mut config: Self = Self { format: None, ..typed(value)? };
            config.complete()?;
            config.check()?;
            Ok(config)
        };
        let mut changed = value.clone();
        changes.iter().try_for_each(|change| edit::make(&mut changed, change)).map_err(usage)?;
        checked(&changed).map_err(|mut problem| {
            let of_file = changes.is_empty() || checked(&value).is_err_and(|old| old == problem);
            if ::saved::is_removed(&problem.path) {
                problem.said = "this key was removed: leave it out".into();
            }
            usage(match edit::guilty(&changes, &problem.path) {
                Some(change) => format!("--set {}: {}", change.key, change.explain(&problem)),
                None if of_file => format!("{origin}: {problem}"),
                None => {
                    let all: Vec<String> = changes.iter().map(|change| format!("--set {}", change.key)).collect();
                    format!("{}: {problem}", all.join(" with "))
                }
            })
        })
    }

    /// Reads a configuration that this program saved; `origin` names it in errors.
    ///
    /// # Errors
    ///
    /// Fails if a newer program saved it.
    pub fn parse_saved(text: &str, origin: &str) -> Result<Self> {
        Self::built(saved::saved(text, origin)?, &[], origin)
    }
}

/// Parses `text` and upgrades it to the current format.
pub fn value(text: &str, origin: &str) -> Result<Value> {
    let value = strict::parse(text).map_err(|error| usage(format!("{origin}: {error}")))?;
    // Only this program writes the format.
    if value.get("format").is_some() { saved::saved(text, origin) } else { Ok(value) }
}
