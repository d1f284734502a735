//! Writes NumPy files: `[K, H, W]` f32 (NumPy Enhancement Proposal 1, version 1.0).

use crate::common::files::Partial;
use crate::common::seal::checksum;
use anyhow::{Context, Result};
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

/// Size of the padded header in bytes: numbers begin at a multiple of 64.
const HEADER: usize = 128;

/// A NumPy file, written in rows of all classes.
pub struct Npy {
    file: File,
    classes: usize,
    size: [usize; 2],
    partial: Partial,
}

impl Npy {
    /// Starts the file, for images of this height and width.
    pub fn create(path: &Path, [height, width]: [u32; 2], classes: usize) -> Result<Self> {
        let partial = Partial::create(path)?;
        let mut file = partial.file()?;
        let mut header = b"\x93NUMPY\x01\x00".to_vec();
        header.extend((HEADER as u16 - 10).to_le_bytes());
        let shape = format!("({classes}, {height}, {width})");
        header.extend(format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}").bytes());
        header.resize(HEADER - 1, b' ');
        header.push(b'\n');
        file.write_all(&header).with_context(|| partial.doing())?;
        Ok(Self { file, classes, size: [height as usize, width as usize], partial })
    }

    /// Writes `[K, rows, W]`, from the image's row `first` on.
    pub fn write(&mut self, probabilities: &[f32], first: usize) -> Result<()> {
        let [height, width] = self.size;
        let mut write = || {
            for (class, rows) in probabilities.chunks_exact(probabilities.len() / self.classes).enumerate() {
                let at = HEADER + 4 * (class * height + first) * width;
                self.file.seek(SeekFrom::Start(at as u64))?;
                self.file.write_all(&rows.iter().flat_map(|share| share.to_le_bytes()).collect::<Vec<u8>>())?;
            }
            Ok::<_, std::io::Error>(())
        };
        write().with_context(|| self.partial.doing())
    }

    /// Completes the file. Returns it with its checksum; the caller publishes it.
    pub fn finish(mut self) -> Result<(Partial, String)> {
        let bytes = self.file.seek(SeekFrom::End(0)).with_context(|| self.partial.doing())?;
        let checksum = checksum(&mut self.file, bytes).with_context(|| self.partial.doing())?;
        Ok((self.partial, checksum))
    }
}
