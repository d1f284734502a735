//! A file that is read at positions, none of them behind its end.

use crate::error::{Problem, damaged};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// Largest part that is decoded or held at once, in bytes. A file that needs more is refused, whatever its header says.
pub(crate) const MOST: u64 = 1 << 30;

/// An open file and its length.
pub(crate) struct Source {
    file: File,
    length: u64,
}

impl Source {
    /// Opens a regular file.
    pub(crate) fn open(path: &Path) -> Result<Self, Problem> {
        let file = regular::open(path)?;
        let length = file.metadata()?.len();
        Ok(Self { file, length })
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Fills `into` from `at` on.
    pub(crate) fn read(&mut self, at: u64, into: &mut [u8]) -> Result<(), Problem> {
        self.holds(at, into.len() as u64)?;
        self.file.seek(SeekFrom::Start(at))?;
        Ok(self.file.read_exact(into)?)
    }

    /// Reads `count` bytes from `at` on. Their number is compared with the file's length before they are allocated.
    pub(crate) fn bytes(&mut self, at: u64, count: u64) -> Result<Vec<u8>, Problem> {
        let mut bytes = Vec::new();
        self.read_into(at, count, &mut bytes)?;
        Ok(bytes)
    }

    /// Replaces the content of `into` by `count` bytes from `at` on.
    pub(crate) fn read_into(&mut self, at: u64, count: u64, into: &mut Vec<u8>) -> Result<(), Problem> {
        self.holds(at, count)?;
        if count > MOST {
            return damaged(format!(
                "a part of it is {count} bytes long, and {MOST} are the most that is read at once"
            ));
        }
        into.clear();
        into.resize(count as usize, 0);
        self.read(at, into)
    }

    /// Returns the first bytes, at most `most`.
    pub(crate) fn start(&mut self, most: u64) -> Result<Vec<u8>, Problem> {
        self.bytes(0, most.min(self.length))
    }

    /// Returns the file, to be read from `at` on by a decoder of streams.
    pub(crate) fn stream(&self, at: u64) -> Result<File, Problem> {
        let mut file = self.file.try_clone()?;
        file.seek(SeekFrom::Start(at))?;
        Ok(file)
    }

    fn holds(&self, at: u64, count: u64) -> Result<(), Problem> {
        match at.checked_add(count) {
            Some(end) if end <= self.length => Ok(()),
            _ => damaged(format!(
                "{count} bytes at {at} are missing: the file ends at {} and seems cut off",
                self.length
            )),
        }
    }
}

/// Order of the bytes of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endian {
    Little,
    Big,
}

impl Endian {
    /// Returns whether it is that of this machine.
    pub(crate) fn is_native(self) -> bool {
        (self == Self::Little) == cfg!(target_endian = "little")
    }

    /// Puts numbers of `bytes` bytes into the order of this machine.
    pub(crate) fn to_native(self, numbers: &mut [u8], bytes: usize) {
        if !self.is_native() && bytes > 1 {
            numbers.chunks_exact_mut(bytes).for_each(<[u8]>::reverse);
        }
    }

    /// Reads an unsigned number of up to 8 bytes.
    pub(crate) fn unsigned(self, bytes: &[u8]) -> u64 {
        let join = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        match self {
            Self::Big => bytes.iter().fold(0, join),
            Self::Little => bytes.iter().rev().fold(0, join),
        }
    }

    /// Reads a float of 4 or 8 bytes.
    pub(crate) fn float(self, bytes: &[u8]) -> f64 {
        let bits = self.unsigned(bytes);
        if bytes.len() == 4 { f32::from_bits(bits as u32).into() } else { f64::from_bits(bits) }
    }
}
