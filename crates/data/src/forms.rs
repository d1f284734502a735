//! Names that look the same and are written otherwise: "é" as one character, or as "e" and an accent. macOS and
//! archives turn one form into the other, so files are matched in either, and keep the names that they have.

use std::path::{Path, PathBuf};
use unicode_normalization::UnicodeNormalization;

/// The name in its composed form (NFC): the same for names that look the same.
pub(crate) fn composed(name: &str) -> String {
    name.nfc().collect()
}

/// The path `below` of `root` in the form in which there is such a file; as it is written where there is in none.
pub(crate) fn on_disk(root: &Path, below: &str) -> PathBuf {
    let path = root.join(below);
    if below.is_ascii() || path.exists() {
        return path;
    }
    let decomposed: String = below.nfd().collect();
    let others = [composed(below), decomposed].into_iter().map(|form| root.join(form));
    others.into_iter().find(|other| other.exists()).unwrap_or(path)
}
