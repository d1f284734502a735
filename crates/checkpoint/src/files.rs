//! Files of known size and checksum, and folders.

use crate::Error;
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io::{self, Read, Seek},
    path::Path,
};

const BUFFER: usize = 1 << 20;

/// Size and BLAKE3 checksum of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub bytes: u64,
    pub blake3: String,
}

/// Opens the regular file `path` for reading; returns it and its size. A pipe of that name would block for ever.
pub fn open(path: &Path) -> Result<(File, u64), Error> {
    let file = regular::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::damaged(path, "it is missing"),
        io::ErrorKind::InvalidInput => Error::damaged(path, "it is not a regular file"),
        _ => Error::io("read", path)(error),
    })?;
    #[cfg(test)]
    OPENED.with(|opened| opened.set(opened.get() + 1));
    let bytes = file.metadata().map_err(Error::io("read", path))?.len();
    Ok((file, bytes))
}

#[cfg(test)]
thread_local! {
    /// Number of files that this thread has opened for reading.
    pub static OPENED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Opens `path` if its size is that of `record`; does not read it.
fn open_sized(path: &Path, record: &Record) -> Result<File, Error> {
    match open(path)? {
        (file, bytes) if bytes == record.bytes => Ok(file),
        (_, bytes) => Err(Error::damaged(path, format!("it has {bytes} bytes instead of {}", record.bytes))),
    }
}

/// Opens `path`, verifies its bytes against `record`, in constant memory whatever its size, and rewinds it.
pub fn open_verified(path: &Path, record: &Record) -> Result<File, Error> {
    let mut file = open_sized(path, record)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => hasher.update(&buffer[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::io("read", path)(error)),
        };
    }
    if hasher.finalize().to_hex().as_str() != record.blake3 {
        return Err(Error::damaged(path, "its bytes do not match their checksum"));
    }
    file.rewind().map_err(Error::io("read", path))?;
    Ok(file)
}

/// Reads an open file, at most `limit` bytes of it.
pub fn read(path: &Path, file: File, limit: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let room = usize::try_from(limit).ok().and_then(|limit| bytes.try_reserve_exact(limit).ok());
    room.ok_or_else(|| Error::damaged(path, format!("its {limit} bytes do not fit into memory")))?;
    file.take(limit).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
    Ok(bytes)
}

/// Flushes `folder`, so that the names in it survive a power loss.
pub fn sync_folder(folder: &Path) -> Result<(), Error> {
    regular::flush_folder(folder).map_err(Error::io("flush", folder))
}

pub fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    fs::rename(from, to).map_err(Error::io("rename", from))
}

/// Removes a folder if it exists.
pub fn remove(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", folder)(error)),
        _ => Ok(()),
    }
}
