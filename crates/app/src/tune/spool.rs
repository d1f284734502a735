//! Bytes on disk that nobody sees and that end with the process.

use anyhow::{Context, Result};
use std::env::temp_dir;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::{Mutex, PoisonError};

/// A temporary file without a name: a killed process leaves nothing.
#[derive(Debug)]
pub struct Spool {
    /// The file and its length.
    file: Mutex<(File, u64)>,
}

/// Place of some bytes.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    at: u64,
    bytes: usize,
}

impl Place {
    /// Returns the number of bytes.
    pub fn len(self) -> usize {
        self.bytes
    }
}

impl Spool {
    /// Creates an empty file in the folder for temporary files.
    pub fn new() -> Result<Self> {
        let file = tempfile::tempfile().with_context(|| format!("making a file in {}", temp_dir().display()))?;
        Ok(Self { file: Mutex::new((file, 0)) })
    }

    /// Appends bytes.
    pub fn append(&self, bytes: &[u8]) -> Result<Place> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let at = file.1;
        write_at(&mut file.0, at, bytes)?;
        file.1 += bytes.len() as u64;
        Ok(Place { at, bytes: bytes.len() })
    }

    /// Returns the bytes at a place.
    pub fn read(&self, place: Place) -> Result<Vec<u8>> {
        let mut bytes = vec![0; place.bytes];
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let found = file.0.seek(SeekFrom::Start(place.at)).and_then(|_| file.0.read_exact(&mut bytes));
        found.context("reading the predictions of the validation images")?;
        Ok(bytes)
    }

    /// Replaces the bytes at a place by as many others.
    pub fn replace(&self, place: Place, bytes: &[u8]) -> Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        write_at(&mut file.0, place.at, &bytes[..bytes.len().min(place.bytes)])
    }
}

fn write_at(file: &mut File, at: u64, bytes: &[u8]) -> Result<()> {
    let written: io::Result<()> = file.seek(SeekFrom::Start(at)).and_then(|_| file.write_all(bytes));
    written.with_context(|| {
        let folder = temp_dir();
        format!(
            "writing the predictions of the validation images, {} MB so far, to {} (TMPDIR names another folder)",
            at >> 20,
            folder.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_from_their_places() {
        let spool = Spool::new().unwrap();
        let places = [vec![1; 5], Vec::new(), vec![2, 3]].map(|bytes| (spool.append(&bytes).unwrap(), bytes));
        for (place, bytes) in &places {
            assert_eq!(spool.read(*place).unwrap(), *bytes);
        }
        spool.replace(places[0].0, &[9; 5]).unwrap();
        assert_eq!(spool.read(places[2].0).unwrap(), [2, 3]);
        assert_eq!(spool.read(places[0].0).unwrap(), [9; 5]);
    }
}
