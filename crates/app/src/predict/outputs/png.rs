//! Writes a PNG file row by row.

use crate::common::files::Partial;
use crate::common::seal::{Beside, seal};
use anyhow::{Context, Result};
use png::{BitDepth, ColorType, Compression, Encoder, StreamWriter};
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Bytes of a chunk of the file.
const CHUNK: usize = 1 << 16;

/// A PNG file that is being written.
pub struct Png {
    rows: StreamWriter<'static, File>,
    partial: Partial,
}

impl Png {
    /// Starts a picture of this height and width.
    pub fn create(path: &Path, [height, width]: [u32; 2], color: ColorType, depth: BitDepth) -> Result<Self> {
        let partial = Partial::create(path)?;
        let mut encoder = Encoder::new(partial.file()?, width, height);
        encoder.set_color(color);
        encoder.set_depth(depth);
        encoder.set_compression(Compression::Fast);
        let rows = encoder.write_header().and_then(|writer| writer.into_stream_writer_with_size(CHUNK));
        Ok(Self { rows: rows.with_context(|| format!("writing {}", path.display()))?, partial })
    }

    /// Adds rows; 16-bit numbers have the upper byte first.
    pub fn write(&mut self, rows: &[u8]) -> Result<()> {
        self.rows.write_all(rows).with_context(|| self.partial.doing())
    }

    /// Returns the final path.
    pub fn path(&self) -> &Path {
        self.partial.path()
    }

    /// Completes the file and seals it with the checksums of the files that belong to it. The caller publishes it.
    pub fn finish(self, beside: &Beside) -> Result<Partial> {
        let Self { rows, partial } = self;
        rows.finish().with_context(|| partial.doing())?;
        seal(&mut partial.file()?, beside).with_context(|| partial.doing())?;
        Ok(partial)
    }
}
