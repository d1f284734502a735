//! An append-only file that grows by whole pieces, and that other programs may truncate, replace or remove meanwhile.
//!
//! It is read while it grows, so it cannot be written under another name and renamed (`regular::Partial`).

use crate::Error;
use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// File that is only written at its end.
///
/// **Invariant:** the file holds each of our pieces whole or not at all. The remains of a failed write are cut off at
/// once or, if that fails too, before the next write.
#[derive(Debug)]
pub struct Growing {
    path: PathBuf,
    file: File,
    /// Bytes after our last write.
    length: u64,
    /// True if a half-written piece of ours follows `length`.
    torn: bool,
}

/// State of a file compared with our last write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It is as we left it.
    Same,
    /// It is shorter.
    Cut,
    /// Somebody else appended to it.
    Grown,
    /// Another file has its name.
    Replaced,
    /// No file has its name.
    Missing,
}

impl Growing {
    /// Continues `file`, opened for appending, after its first `length` bytes; cuts off the rest.
    pub fn new(path: PathBuf, file: File, length: u64) -> Result<Self, Error> {
        file.set_len(length).map_err(Error::io("cut", &path))?;
        Ok(Self { path, file, length, torn: false })
    }

    /// Continues `file`, opened for appending, at its end.
    pub fn at_its_end(path: PathBuf, file: File) -> Result<Self, Error> {
        let length = file.metadata().map_err(Error::io("look at", &path))?.len();
        Ok(Self { path, file, length, torn: false })
    }

    /// Path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Size in bytes after our last write.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Open file, for reading.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Compares the file that has the name now with the one we wrote.
    pub fn found(&self) -> Result<Found, Error> {
        let failed = |error| Error::io("look at", &self.path)(error);
        let there = match fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Missing),
            there => there.map_err(failed)?,
        };
        if !regular::same(&there, &self.file.metadata().map_err(failed)?) {
            return Ok(Found::Replaced);
        }
        Ok(match there.len() {
            length if length < self.length => Found::Cut,
            length if length > self.length && !self.torn => Found::Grown,
            _ => Found::Same,
        })
    }

    /// Moves the place of the next piece to the current end of the file.
    pub fn go_on_at_its_end(&mut self) -> Result<(), Error> {
        self.length = self.file.metadata().map_err(Error::io("look at", &self.path))?.len();
        self.torn = false;
        Ok(())
    }

    /// Hands `pieces` to the system. On an error the file holds none of them.
    pub fn append(&mut self, pieces: &[u8]) -> Result<(), Error> {
        let whole = if self.torn { self.file.set_len(self.length) } else { Ok(()) };
        if let Err(error) = whole.and_then(|()| self.file.write_all(pieces)) {
            // Half a piece would corrupt the file for a concurrent reader.
            self.torn = self.file.set_len(self.length).is_err()
                && self.file.metadata().is_ok_and(|about| about.len() > self.length);
            return Err(Error::io("write", &self.path)(error));
        }
        self.torn = false;
        self.length += pieces.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
impl Growing {
    /// Returns a device that is always full, if the system has one; it cannot be truncated.
    pub fn full() -> Option<Self> {
        let path = PathBuf::from("/dev/full");
        let file = File::options().append(true).open(&path).ok()?;
        Some(Self { path, file, length: 0, torn: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn open(path: &Path) -> File {
        File::options().append(true).create(true).open(path).unwrap()
    }

    #[test]
    fn pieces_come_after_what_is_kept_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "old torn").unwrap();
        let mut growing = Growing::new(path.clone(), open(&path), 4).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old ");
        growing.append(b"a").unwrap();
        growing.append(b"b").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old ab");
        assert_eq!((growing.length(), growing.path()), (6, path.as_path()));
    }

    #[test]
    fn an_error_names_the_file() {
        let Some(mut growing) = Growing::full() else { return };
        let error = growing.append(b"piece").unwrap_err().to_string();
        assert!(error.starts_with("cannot write /dev/full: No space left"), "{error}");
        assert_eq!(growing.length(), 0);
    }

    #[test]
    fn what_a_failed_write_left_is_cut_off_before_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut growing = Growing::new(path.clone(), open(&path), 0).unwrap();
        growing.append(b"whole").unwrap();
        // As if both a write and the truncation after it had failed half way.
        growing.file.write_all(b"to").unwrap();
        growing.torn = true;
        assert_eq!(growing.found().unwrap(), Found::Same);
        growing.append(b"|next").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole|next");
    }

    #[test]
    fn what_others_do_to_the_file_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut growing = Growing::new(path.clone(), open(&path), 0).unwrap();
        growing.append(b"whole").unwrap();
        assert_eq!(growing.found().unwrap(), Found::Same);
        open(&path).write_all(b" more").unwrap();
        assert_eq!(growing.found().unwrap(), Found::Grown);
        fs::write(&path, "w").unwrap();
        assert_eq!(growing.found().unwrap(), Found::Cut);
        growing.append(b"|").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"w|", "a piece comes at the end, and leaves no hole");
        fs::write(folder.path().join("other"), "w|").unwrap();
        fs::rename(folder.path().join("other"), &path).unwrap();
        assert_eq!(growing.found().unwrap(), Found::Replaced);
        fs::remove_file(&path).unwrap();
        assert_eq!(growing.found().unwrap(), Found::Missing);
    }
}
