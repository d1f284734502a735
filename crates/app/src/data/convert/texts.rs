//! Text files beside class maps: lists of names, legends and annotations.

use crate::common::beside;
use crate::common::files::{Replace, publish};
use crate::common::usage::usage;
use annotation::names::{from_text, from_yaml};
use anyhow::Result;
use std::fs;
use std::path::Path;

/// Reads a list of names.
pub(super) fn names(path: &Path) -> Result<Vec<String>> {
    let shown = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|error| usage(format!("reading {shown}: {error}")))?;
    let is_yaml = path.extension().is_some_and(|found| ["yaml", "yml"].iter().any(|yaml| found == *yaml));
    let names = if is_yaml { from_yaml(&shown, &text) } else { from_text(&shown, &text) };
    names.map_err(|error| usage(error.to_string()))
}

/// Returns whether a text is to be written to `path`: not if it stands there already.
///
/// # Errors
///
/// Fails if something else stands there, unless everything may be replaced.
pub(super) fn is_due(path: &Path, text: &str, replace: Replace) -> Result<bool> {
    beside::is_due(path, text, replace).ok_or_else(|| {
        usage(format!(
            "{} is there and says something else: name another --output, or add --overwrite to replace it",
            path.display()
        ))
    })
}

/// Writes a text, if it is due.
pub(super) fn put(path: &Path, text: &str, is_due: bool) -> Result<()> {
    if is_due { publish(path, text.as_bytes()) } else { Ok(()) }
}
