//! Files that lie beside class maps: pictures of them, and the legend that explains their values.

use crate::common::files::Replace;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Name of the legend.
pub const LEGEND: &str = "classes.json";

/// Suffixes of the pictures written along with a class map. A number follows the last one.
const PICTURES: [&str; 4] = ["_overlay", "_contour", "_color", "_probability_"];

/// Returns the class map that a picture was written along with.
pub fn map_of(file: &Path) -> Option<PathBuf> {
    let stem = file.file_stem()?.to_str()?.trim_end_matches(|c: char| c.is_ascii_digit());
    let image = PICTURES.iter().find_map(|end| stem.strip_suffix(end))?;
    Some(file.with_file_name(format!("{image}.png")))
}

/// Returns whether a text is to be written to `path`: not if it stands there already. None if something else stands
/// there that may not be replaced.
pub fn is_due(path: &Path, text: &str, replace: Replace) -> Option<bool> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Some(true),
        Ok(about) if about.is_file() && fs::read(path).is_ok_and(|there| there == text.as_bytes()) => Some(false),
        Ok(about) if replace == Replace::All && !about.is_dir() => Some(true),
        _ => None,
    }
}
