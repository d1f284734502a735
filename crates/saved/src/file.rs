//! Reads files of strangers, and knows them by their checksums.

use serde::{Deserialize, Serialize};
use std::io::{self, ErrorKind, Read};
use std::ops::RangeInclusive;
use std::path::Path;

/// Size and checksum of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checksum {
    /// Size.
    pub bytes: u64,
    /// BLAKE3 of its content, in hexadecimal digits.
    pub blake3: String,
}

impl Checksum {
    /// Reads `content` to its end.
    pub(crate) fn of(content: impl Read) -> io::Result<Self> {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(content)?;
        Ok(Self { bytes: hasher.count(), blake3: hasher.finalize().to_hex().to_string() })
    }
}

/// Reads a regular file with an `allowed` number of bytes, else fails with [`ErrorKind::InvalidData`]. A file that
/// grows, or a pipe, would take memory or time without end.
pub(crate) fn read(path: &Path, allowed: RangeInclusive<u64>) -> io::Result<Vec<u8>> {
    let file = regular::open(path)?;
    let length = file.metadata()?.len();
    if !allowed.contains(&length) {
        return Err(io::Error::new(ErrorKind::InvalidData, format!("it has {length} bytes, not {allowed:?}")));
    }
    let mut bytes = Vec::new();
    // A sparse file takes no room on the disk: a lack of memory must not end the program.
    bytes.try_reserve_exact(usize::try_from(length).map_err(|_| ErrorKind::OutOfMemory)?).map_err(io::Error::other)?;
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}
