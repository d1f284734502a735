//! Reading JSON with errors that say where.

use crate::problem::Error;
use serde::de::DeserializeOwned;

/// Parses a whole file.
///
/// # Errors
///
/// [`Error::Json`] with line and column.
pub(crate) fn parse<T: DeserializeOwned>(file: &str, format: &'static str, bytes: &[u8]) -> Result<T, Error> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    serde_json::from_slice(bytes).map_err(|error| {
        let line = bytes.split(|byte| *byte == b'\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
        // The column counts the bytes up to the one that does not fit, or of the word up to it.
        let from = error.column().saturating_sub(4).min(line.len());
        let near = &line[from..(error.column() + 9).min(line.len())];
        let word = ["NaN", "Infinity"]
            .into_iter()
            .find(|word| error.is_syntax() && near.windows(word.len()).any(|bytes| bytes == word.as_bytes()));
        let reason = match word {
            Some(word) => format!("{word} near line {} column {} is no number of JSON", error.line(), error.column()),
            None => error.to_string(),
        };
        Error::Json { file: file.to_owned(), format, reason }
    })
}

/// Returns the first byte that is no white space.
pub(crate) fn first(bytes: &[u8]) -> Option<u8> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    bytes.iter().copied().find(|byte| !byte.is_ascii_whitespace())
}
