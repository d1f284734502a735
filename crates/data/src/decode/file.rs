//! Opening and reading of image files.

use super::problem::{MOST_MEMORY, Problem};
use crate::error::Error;
use image::{ImageReader, Limits};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::Path;

pub(super) fn open(path: &Path) -> Result<BufReader<File>, Error> {
    regular::open(path).map(BufReader::new).map_err(|source| Error::Io { path: path.into(), source })
}

/// Reads a whole file into a buffer.
pub(super) fn read(path: &Path, file: &mut Vec<u8>) -> Result<(), Error> {
    file.clear();
    let opened = regular::open(path).and_then(|opened| opened.take(MOST_MEMORY + 1).read_to_end(file));
    let bytes = opened.map_err(|source| Error::Io { path: path.into(), source })?;
    if bytes as u64 <= MOST_MEMORY {
        return Ok(());
    }
    let most = MOST_MEMORY >> 20;
    Err(Problem::Refused(format!(
        "has more than the {most} MB that are read of an image file: save it compressed, or in pieces"
    ))
    .of(path))
}

pub(super) fn limited<R: BufRead + Seek>(mut reader: ImageReader<R>) -> ImageReader<R> {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MOST_MEMORY);
    reader.limits(limits);
    reader
}
