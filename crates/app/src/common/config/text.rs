//! Reads configuration files as editors write them.

use anyhow::{Context, Result, anyhow};
use std::io::Read;
use std::path::Path;

/// Reads a UTF-8 file, with or without a byte-order mark.
pub fn read(file: &Path) -> Result<String> {
    if file.is_dir() {
        return Err(anyhow!("{} is a folder: name the file in it", file.display()));
    }
    let mut bytes = Vec::new();
    let read = regular::open(file).and_then(|mut file| file.read_to_end(&mut bytes));
    read.with_context(|| file.display().to_string())?;
    decode(bytes).map_err(|problem| anyhow!("{}: {problem}", file.display()))
}

fn decode(bytes: Vec<u8>) -> Result<String, String> {
    const ADVICE: &str = "save it as UTF-8";
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) || bytes.contains(&0) {
        return Err(format!("this is not UTF-8, but UTF-16 or no text at all: {ADVICE}"));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let (before, byte) = (&error.as_bytes()[..at], error.as_bytes()[at]);
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("this is not UTF-8 (the byte 0x{byte:02X} in line {line}), but perhaps Latin-1: {ADVICE}")
    })?;
    Ok(text.strip_prefix('\u{feff}').map(String::from).unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_text() {
        assert_eq!(decode(b"\xef\xbb\xbf{}".to_vec()).unwrap(), "{}");
        assert_eq!(decode("{\"gründe\": 1}\r\n".into()).unwrap(), "{\"gründe\": 1}\r\n");
    }

    #[test]
    fn other_encodings_are_refused_in_words() {
        // Output of Python's encode for '{}\n"ü"' in utf-16, utf-16-be and latin-1.
        for (bytes, says) in [
            (&b"\xff\xfe{\0}\0\n\0\"\0\xfc\0\"\0"[..], "UTF-16"),
            (b"\0{\0}\0\n\0\"\0\xfc\0\"", "UTF-16"),
            (b"{}\n\"\xfc\"", "the byte 0xFC in line 2), but perhaps Latin-1: save it as UTF-8"),
        ] {
            let error = decode(bytes.to_vec()).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}
