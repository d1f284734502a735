//! Text files with one entry a line, as people and other programs write them.

use crate::error::Error;
use crate::list::paths::{LARGEST_TEXT, too_large};
use std::io::{self, Read};
use std::path::{Path, absolute};

/// Maximum number of characters of a line in a message.
const SHOWN: usize = 80;

/// Reads the text of a list; `what` and `hint` are for the error if it is missing.
pub(crate) fn read(what: &'static str, path: &Path, hint: &'static str) -> Result<String, Error> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => missing(what, path, hint),
        _ => Error::Io { path: path.into(), source },
    };
    // Checked before reading: a list that is too large is not worth the memory.
    let mut file = regular::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.len() > LARGEST_TEXT {
        return Err(too_large(path));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(failed)?;
    utf8(path, bytes)
}

/// Decodes the `bytes` of the list at `path` as UTF-8.
pub(crate) fn utf8(path: &Path, bytes: Vec<u8>) -> Result<String, Error> {
    String::from_utf8(bytes).map_err(|error| {
        let before = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
        let line = before.filter(|byte| **byte == b'\n').count() + 1;
        let problem = match error.as_bytes() {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "is UTF-16: save the list as UTF-8",
            _ => "is not UTF-8: save the list in that encoding",
        };
        Error::List { path: path.into(), line, problem: problem.into() }
    })
}

/// Returns the lines with content, trimmed, with their numbers from 1. Skips empty lines and comments (`#`).
pub(crate) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = without_mark(text).lines().enumerate().map(|(number, line)| (number + 1, line.trim()));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

/// Returns the text without the byte order mark that some editors begin it with.
pub(crate) fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Shortens a line for a message.
pub(crate) fn shown(line: &str) -> String {
    let mut characters = line.trim().chars();
    let start: String = characters.by_ref().take(SHOWN).collect();
    if characters.next().is_some() { start + "…" } else { start }
}

/// Returns the error for a part of a data set that is not at `path`.
pub(crate) fn missing(what: &'static str, path: &Path, hint: &'static str) -> Error {
    Error::Missing { what, path: absolute(path).unwrap_or_else(|_| path.into()), hint }
}
