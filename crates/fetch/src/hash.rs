//! SHA-256 of files, and the file beside each that pins it.

use crate::Error;
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Number of hexadecimal digits of a whole hash.
const DIGITS: usize = 64;

/// Returns the SHA-256 of the regular file at `path` in hexadecimal, and its size in bytes.
///
/// # Errors
///
/// Fails if the file cannot be read.
pub fn sha256(path: &Path) -> io::Result<(String, u64)> {
    let mut file = regular::open(path)?;
    let mut hash = Sha256::new();
    let bytes = io::copy(&mut file, &mut hash)?;
    let digits = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((digits, bytes))
}

/// File that holds the hash of another one since its first fetch, in the format of `sha256sum`.
pub(crate) struct Pin {
    path: PathBuf,
    name: String,
}

impl Pin {
    pub(crate) fn new(path: PathBuf, name: &str) -> Self {
        Self { path, name: name.into() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the hash; None if there is none yet.
    pub(crate) fn read(&self) -> Result<Option<String>, Error> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read", &self.path)(error)),
        };
        let hash = text.split_whitespace().next().filter(|hash| hash.len() == DIGITS);
        hash.map(|hash| Some(hash.to_lowercase())).ok_or_else(|| {
            let said = "it holds no SHA-256: remove it, and the file beside it if that came from elsewhere";
            Error::io("use", &self.path)(io::Error::new(ErrorKind::InvalidData, said))
        })
    }

    pub(crate) fn write(&self, hash: &str) -> Result<(), Error> {
        Ok(regular::publish(&self.path, format!("{hash}  {}\n", self.name).as_bytes())?)
    }
}
