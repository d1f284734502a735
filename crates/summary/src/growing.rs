//! A file that grows by whole pieces.

use crate::Error;
use std::{
    fs::File,
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// A file that is only written at its end.
///
/// **Invariant:** the file is whole pieces up to `length`. What a write that failed left behind is cut off, and if that
/// fails too, written over by the next.
#[derive(Debug)]
pub struct Growing {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Growing {
    /// Goes on with `file`, which was opened for writing (not for appending), from its first `length` bytes.
    pub fn new(path: PathBuf, file: File, length: u64) -> Result<Self, Error> {
        file.set_len(length).map_err(Error::io("cut", &path))?;
        Ok(Self { path, file, length })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its size in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Hands `pieces` to the system. On an error nothing of them is in the file.
    pub fn append(&mut self, pieces: &[u8]) -> Result<(), Error> {
        let written = self.file.seek(SeekFrom::Start(self.length)).and_then(|_| self.file.write_all(pieces));
        if let Err(error) = written {
            // Half a piece would spoil the file for whoever reads it meanwhile.
            self.file.set_len(self.length).ok();
            return Err(Error::io("write", &self.path)(error));
        }
        self.length += pieces.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
impl Growing {
    /// A device that is always full, where there is one: what it takes is not cut.
    pub fn full() -> Option<Self> {
        let path = PathBuf::from("/dev/full");
        let file = File::options().write(true).open(&path).ok()?;
        Some(Self { path, file, length: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn pieces_come_after_what_is_kept_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "old torn").unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        let mut growing = Growing::new(path.clone(), file, 4).unwrap();
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
    fn what_a_failed_write_left_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut growing = Growing::new(path.clone(), File::create(&path).unwrap(), 0).unwrap();
        growing.append(b"whole").unwrap();
        // As if a write had failed half way, and the cutting too.
        growing.file.write_all(b"to").unwrap();
        growing.append(b"|next").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole|next");
    }
}
