//! Unicode forms of names that look the same: "é" as one character, or as "e" and an accent. macOS and archives convert
//! one form to the other, so files are matched in either form and keep their names.

use std::path::{Path, PathBuf};
use unicode_normalization::UnicodeNormalization;

/// Returns the composed form of the name (NFC), which names that look the same share.
pub(crate) fn composed(name: &str) -> String {
    name.nfc().collect()
}

/// Returns the path `below` of `root` in the Unicode form that exists on disk; unchanged if none exists.
pub(crate) fn on_disk(root: &Path, below: &str) -> PathBuf {
    let path = root.join(below);
    if below.is_ascii() || path.exists() {
        return path;
    }
    let decomposed: String = below.nfd().collect();
    let others = [composed(below), decomposed].into_iter().map(|form| root.join(form));
    others.into_iter().find(|other| other.exists()).unwrap_or(path)
}
