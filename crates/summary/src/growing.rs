//! A file that grows by whole pieces, and loses none where the disk is full for a while.

use crate::Error;
use std::{
    fs::File,
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// What is waiting is handed over by itself from this size on.
const ENOUGH: usize = 8 << 10;

/// A file and what has not been written to it yet. Dropping it hands that over; an error then goes unseen.
///
/// **Invariant:** the file is whole pieces up to `length`. What a write that failed left behind is cut off, and if that
/// fails too, written over by the next.
#[derive(Debug)]
pub struct Growing {
    path: PathBuf,
    file: File,
    length: u64,
    waiting: Vec<u8>,
}

impl Growing {
    /// Goes on with `file`, which was opened for writing (not for appending), from its first `length` bytes.
    pub fn new(path: PathBuf, file: File, length: u64) -> Result<Self, Error> {
        file.set_len(length).map_err(Error::io("cut", &path))?;
        Ok(Self { path, file, length, waiting: Vec::new() })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes a piece, which is written with one of the next calls. On an error it is kept, as all before it.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.waiting.extend_from_slice(piece);
        if self.waiting.len() < ENOUGH { Ok(()) } else { self.hand_over() }
    }

    /// Writes what is waiting. On an error it goes on waiting, and the next call tries again.
    pub fn hand_over(&mut self) -> Result<(), Error> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let written = self.file.seek(SeekFrom::Start(self.length)).and_then(|_| self.file.write_all(&self.waiting));
        if let Err(error) = written {
            // Half a piece would spoil the file for whoever reads it meanwhile.
            self.file.set_len(self.length).ok();
            return Err(Error::io("write", &self.path)(error));
        }
        self.length += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        self.hand_over().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn pieces_come_in_their_order_when_they_are_asked_for_or_many() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "old torn").unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        let mut growing = Growing::new(path.clone(), file, 4).unwrap();
        growing.push(b"a").unwrap();
        growing.push(b"b").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old ");
        growing.hand_over().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old ab");
        growing.push(&[b'c'; ENOUGH]).unwrap();
        growing.push(b"d").unwrap();
        assert_eq!(fs::read(&path).unwrap().len(), 6 + ENOUGH);
        drop(growing);
        assert_eq!(fs::read(&path).unwrap().len(), 7 + ENOUGH);
    }

    #[test]
    fn what_a_full_disk_does_not_take_is_kept_until_there_is_room() {
        // A device that is always full.
        let path = PathBuf::from("/dev/full");
        let Ok(file) = File::options().write(true).open(&path) else { return };
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().join("file");
        // What a device takes is not cut.
        let mut growing = Growing { path, file, length: 0, waiting: Vec::new() };
        growing.push(b"first ").unwrap();
        for _ in 0..2 {
            let error = growing.hand_over().unwrap_err().to_string();
            assert!(error.starts_with("cannot write /dev/full: No space left"), "{error}");
        }
        assert!(growing.push(&[b'x'; ENOUGH]).is_err());
        growing.file = File::create(&there).unwrap();
        growing.hand_over().unwrap();
        growing.push(b" last").unwrap();
        drop(growing);
        let text = fs::read_to_string(&there).unwrap();
        assert!(text.starts_with("first xxx") && text.ends_with("xxx last") && text.len() == 11 + ENOUGH);
    }

    #[test]
    fn what_a_failed_write_left_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut growing = Growing::new(path.clone(), File::create(&path).unwrap(), 0).unwrap();
        growing.push(b"whole").unwrap();
        growing.hand_over().unwrap();
        // As if a write had failed half way, and the cutting too.
        growing.file.write_all(b"to").unwrap();
        growing.push(b"|next").unwrap();
        growing.hand_over().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole|next");
    }
}
