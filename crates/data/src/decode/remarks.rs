//! Remarks on what a decoded image does not show of its file, so that nothing is left out in silence.

use super::file::{open, read};
use super::note::{bytes, chunk};
use super::tiff::Tiff;
use super::turn::{Orientation, Turn};
use super::{header, kind, other};
use crate::error::Error;
use image::ImageFormat;
use std::collections::BTreeMap;
use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// A property of an image file that the decoded image does not show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Remark {
    /// Its channels have 16 bits, of which the upper 8 are used.
    Wide,
    /// It has bands besides grey or RGB that are not marked as alpha.
    Bands,
    /// It holds several pages or frames, of which the first is used.
    Pages,
    /// Its orientation tag turned it.
    Turned,
}

impl Remark {
    /// Returns the sentence that reports this of the file at `path`, and what to do. For a file of 16 bits it includes
    /// the range of its values, which takes decoding the file.
    pub fn of(self, path: &Path) -> String {
        let says = match self {
            Self::Wide => {
                let shown = range(path).ok().flatten().map(|[low, high]| {
                    let shades = (high >> 8) - (low >> 8) + 1;
                    format!(", values {low} to {high} of 65535; that leaves {shades} of 256 shades")
                });
                let shown = shown.unwrap_or_default();
                return format!(
                    "{} has 16 bits a channel, and only the upper 8 are used{shown}: set data.depth to \"u16\", or \
                     scale the values to 8 bits first",
                    path.display()
                );
            }
            Self::Bands => {
                "has more bands than grey, or red, green and blue: the others are not used, unless data.channels is set"
            }
            Self::Pages => "holds several pages or frames: only the first is used",
            Self::Turned => {
                "carries a note of its orientation and is brought upright by it: if its mask was drawn over the pixels \
                 as they are stored, set data.orientation to \"ignore\""
            }
        };
        format!("{} {says}", path.display())
    }
}

/// Remarks on many files: each kind once, with the number of files it applies to and the first of them.
#[derive(Debug, Default)]
pub struct Noted(BTreeMap<Remark, (u64, u64, PathBuf)>);

impl Noted {
    /// Adds a remark on the file at `path`. Of several files the one with the lowest `number` is named.
    pub fn add(&mut self, remark: Remark, number: u64, path: PathBuf) {
        let (count, first, of) = self.0.entry(remark).or_insert((0, number, path.clone()));
        *count += 1;
        if number < *first {
            (*first, *of) = (number, path);
        }
    }

    /// Returns a sentence for each remark, with the number of files it applies to.
    pub fn lines(&self) -> Vec<String> {
        let line = |(remark, (count, _, path)): (&Remark, &(u64, u64, PathBuf))| match count {
            1 => remark.of(path),
            _ => format!("{} ({count} files are like this)", remark.of(path)),
        };
        self.0.iter().map(line).collect()
    }
}

/// Returns the remarks on the image at `path`, from its header. An unreadable file has none: reading it is the error.
pub fn remarks(path: &Path, orientation: Orientation) -> Vec<Remark> {
    let Ok(mut reader) = open(path) else { return Vec::new() };
    let Ok(header) = header::read(&mut reader) else { return Vec::new() };
    let mut found = stored(header.format, &mut reader).unwrap_or_default();
    if header.turn.wanted(orientation) != Turn::NONE {
        found.push(Remark::Turned);
    }
    found
}

/// Returns the remarks on a mask. [`Remark::Wide`] is none here: all bits of a mask are used.
pub(crate) fn remarks_of_mask(path: &Path) -> Vec<Remark> {
    let found = || -> Option<Vec<Remark>> {
        let mut reader = open(path).ok()?;
        let format = kind::format(reader.fill_buf().ok()?).ok()?;
        stored(format, &mut reader).ok()
    };
    let mut found = found().unwrap_or_default();
    found.retain(|remark| *remark != Remark::Wide);
    found
}

/// Returns remarks on what the file holds in addition to the pixels that are used.
fn stored(format: ImageFormat, reader: &mut (impl BufRead + Seek)) -> io::Result<Vec<Remark>> {
    reader.rewind()?;
    let [wide, bands, pages] = match format {
        ImageFormat::Tiff => match Tiff::open(reader) {
            Ok(mut tiff) => [tiff.is_wide(), tiff.dropped > 0, tiff.has_more_pages()],
            Err(_) => [false; 3],
        },
        ImageFormat::Png => png(reader)?,
        ImageFormat::Gif => [false, false, has_frames(reader)?],
        ImageFormat::WebP => {
            reader.seek_relative(12)?;
            let extended = &bytes::<4>(reader)? == b"VP8X";
            reader.seek_relative(4)?;
            [false, false, extended && bytes::<1>(reader)?[0] & 2 != 0]
        }
        _ => [false; 3],
    };
    let all = [(wide, Remark::Wide), (bands, Remark::Bands), (pages, Remark::Pages)];
    Ok(all.into_iter().filter(|(holds, _)| *holds).map(|(_, remark)| remark).collect())
}

fn png(reader: &mut (impl Read + Seek)) -> io::Result<[bool; 3]> {
    reader.seek(SeekFrom::Start(8))?;
    let mut wide = false;
    loop {
        let (length, kind) = chunk(reader)?;
        let mut rest = length as i64 + 4;
        match &kind {
            b"IHDR" => {
                let [_, _, _, _, _, _, _, _, depth] = bytes(reader)?;
                wide = depth == 16;
                rest -= 9;
            }
            b"acTL" => return Ok([wide, false, u32::from_be_bytes(bytes(reader)?) > 1]),
            b"IDAT" | b"IEND" => return Ok([wide, false, false]),
            _ => {}
        }
        reader.seek_relative(rest)?;
    }
}

/// Returns whether a GIF has a second frame.
fn has_frames(reader: &mut (impl Read + Seek)) -> io::Result<bool> {
    let table = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
    reader.seek(SeekFrom::Start(10))?;
    let [flags, ..] = bytes::<3>(reader)?;
    reader.seek_relative(table(flags))?;
    let mut frames = 0;
    loop {
        match bytes(reader)? {
            [0x2c] => {
                frames += 1;
                if frames > 1 {
                    return Ok(true);
                }
                let [_, _, _, _, _, _, _, _, flags] = bytes(reader)?;
                reader.seek_relative(table(flags) + 1)?;
            }
            [0x21] => reader.seek_relative(1)?,
            _ => return Ok(false),
        }
        loop {
            let [length] = bytes(reader)?;
            if length == 0 {
                break;
            }
            reader.seek_relative(length.into())?;
        }
    }
}

/// Returns the smallest and the largest value of the grey or colour channels of an image of 16 bits; `None` for others.
fn range(path: &Path) -> Result<Option<[u16; 2]>, Error> {
    let (mut file, mut raw) = (Vec::new(), Vec::new());
    read(path, &mut file)?;
    let decoded = kind::format(&file).and_then(|format| match format {
        ImageFormat::Jpeg => Ok(None),
        format => other::decode(&file, format, 1, &mut raw).map(Some),
    });
    let Some((found, _)) = decoded.map_err(|problem| problem.of(path))?.filter(|(found, _)| found.wide) else {
        return Ok(None);
    };
    let colors = if found.channels > 2 { 3 } else { 1 };
    let pixels = raw.chunks_exact(2 * usize::from(found.channels));
    let values =
        pixels.flat_map(|pixel| pixel.as_chunks().0.iter().take(colors).map(|bytes| u16::from_ne_bytes(*bytes)));
    let widen = |[low, high]: [u16; 2], value: u16| [low.min(value), high.max(value)];
    Ok(Some(values.fold([u16::MAX, 0], widen)))
}
