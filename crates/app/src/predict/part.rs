//! Rows of large images that were predicted before their prediction was interrupted.
//!
//! While a large image is predicted tile by tile, its rows are also written to a part file beside its outputs. The same
//! command goes on behind them: it makes the outputs anew of the rows that are kept, in the same portions, so they have
//! the bytes of an uninterrupted prediction.
//!
//! A part file begins with a line of JSON, which says what its rows were made with. Each portion of rows follows: their
//! number and the CRC-32 of what follows (4 bytes each, little-endian), a byte of class id for each pixel, and the
//! probabilities `[K, rows, width]` as f32 if they are wanted. What a killed process left behind the last whole portion
//! is overwritten.

use super::find::Pictures;
use super::image::{Begun, Image, is_large};
use super::made::Made;
use super::predicted::Rows;
use crate::common::files::folder;
use crate::common::usage::usage;
use anyhow::{Context, Result, bail};
use crc32fast::Hasher;
use serde_json::{Map, Value};
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Prefix and suffix of the names of part files. They are hidden, so that nobody takes them for results.
const NAME: [&str; 2] = [".", ".oxiseg-part"];

/// Key and value with which the first line of every part file begins.
const FORMAT: &str = r#"{"":"oxiseg part 1","#;

/// Most bytes of the first line.
const MOST_LINE: u64 = 1 << 20;

/// Numbers that are converted at once.
const AT_ONCE: usize = 1 << 14;

/// The part files of all images.
#[derive(Default)]
pub struct Parts {
    /// None if no rows are kept.
    made: Option<Made>,
    begun: Begun,
}

impl Parts {
    /// Looks for the part files of `pictures`, whose outputs lie in `output`. Those that were made in another way start
    /// over.
    pub fn look(made: Made, pictures: &Pictures, output: &Path) -> Result<Self> {
        let mut begun = Begun::new();
        for (name, picture) in pictures.iter().filter(|(_, picture)| is_large(picture.size)) {
            let (image, path) = (Image::of(name, picture), path(&output.join(&picture.base)));
            let Some((mut file, line)) = existing(&path)? else { continue };
            let wanted = made.of(&image)?;
            let differs = differing(&line, &wanted);
            if !differs.is_empty() {
                let differs = differs.join(", ");
                log::warn!("{name} starts over: its rows in {} were made with another {differs}", path.display());
                continue;
            }
            let found = Stretch::of(&image, made.shares).portions(&mut file)?;
            let height = i64::from(image.size[0]);
            let (mut done, mut kept) = (0, 0);
            for rows in found {
                done += rows;
                if made.tiling.restart(height, done.into()).is_some() {
                    kept = done;
                }
            }
            if kept > 0 {
                log::info!("{name} goes on from row {kept} of {height}");
                begun.insert(name.clone(), kept);
            }
        }
        Ok(Self { made: Some(made), begun })
    }

    /// Returns the images of which rows are kept.
    pub fn begun(&self) -> &Begun {
        &self.begun
    }

    /// Opens the part file of an image, whose outputs are called `base`. None if its rows are not kept.
    pub fn open(&self, image: &Image, base: &Path) -> Result<Option<Part>> {
        let Some(made) = self.made.as_ref().filter(|_| is_large(image.size)) else { return Ok(None) };
        let (path, stretch) = (path(base), Stretch::of(image, made.shares));
        let wanted = made.of(image)?;
        let there = existing(&path)?;
        if let Some(done) = self.begun.get(&image.name).copied() {
            let changed = || format!("{} was changed meanwhile: run the same command again", path.display());
            let (file, line) = there.with_context(changed)?;
            if !differing(&line, &wanted).is_empty() {
                bail!(changed());
            }
            return Ok(Some(Part { file, path, stretch, done, is_written: true }));
        }
        if there.is_some() {
            fs::remove_file(&path).with_context(|| path.display().to_string())?;
        }
        // Fails if the path exists, so never writes through a link that somebody placed there.
        let created = OpenOptions::new().read(true).write(true).create_new(true).open(&path);
        let mut file = created.with_context(|| format!("creating {}", path.display()))?;
        let _ = file.try_lock();
        let mut part = Part { file: file.try_clone()?, path, stretch, done: 0, is_written: true };
        let text = serde_json::to_string(&wanted)?;
        let written = file.write_all(format!("{FORMAT}{}\n", text.strip_prefix('{').unwrap_or(&text)).as_bytes());
        part.keep(written);
        Ok(Some(part))
    }
}

/// Returns the part file of the outputs that are called `base`.
fn path(base: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(NAME[0]);
    name.push(base.file_name().unwrap_or_default());
    name.push(NAME[1]);
    folder(base).join(name)
}

/// Opens the part file at `path`, if there is one, behind its first line.
fn existing(path: &Path) -> Result<Option<(File, Map<String, Value>)>> {
    let shown = path.display();
    let about = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        about => about.with_context(|| shown.to_string())?,
    };
    let foreign = || {
        let to_do = "remove it, or name another --output";
        usage(format!("{shown} is in the way of the rows that are kept of a large image, and is none of ours: {to_do}"))
    };
    if !about.is_file() {
        return Err(foreign());
    }
    let mut file = OpenOptions::new().read(true).write(true).open(path).with_context(|| shown.to_string())?;
    if file.try_lock().is_err_and(|error| matches!(error, fs::TryLockError::WouldBlock)) {
        return Err(usage(format!("{shown} is in use: another process predicts the same image, so wait for its end")));
    }
    let mut line = Vec::new();
    BufReader::new(&file).take(MOST_LINE).read_until(b'\n', &mut line).with_context(|| shown.to_string())?;
    file.seek(SeekFrom::Start(line.len() as u64))?;
    // A process that was killed as it began the file has left less than a line.
    if !line.ends_with(b"\n") && FORMAT.as_bytes().starts_with(&line[..line.len().min(FORMAT.len())]) {
        return Ok(Some((file, Map::new())));
    }
    let made = serde_json::from_slice(&line).ok().filter(|_| line.starts_with(FORMAT.as_bytes()));
    Ok(Some((file, made.ok_or_else(foreign)?)))
}

/// Returns the names of what differs between two descriptions.
fn differing(there: &Map<String, Value>, wanted: &Map<String, Value>) -> Vec<String> {
    wanted.iter().filter(|(key, value)| there.get(*key) != Some(value)).map(|(key, _)| key.clone()).collect()
}

/// Form of the portions of an image.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    size: [usize; 2],
    /// Probabilities a pixel.
    shares: usize,
}

impl Stretch {
    fn of(image: &Image, shares: usize) -> Self {
        Self { size: image.size.map(|side| side as usize), shares }
    }

    /// Reads the next portion. None if no whole one follows. Leaves `file` behind it.
    fn read(&self, file: &mut File, done: usize) -> std::io::Result<Option<Rows>> {
        let mut head = [0; 8];
        if !fills(file, &mut head)? {
            return Ok(None);
        }
        let [rows, sum] = [0, 4].map(|at| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]));
        let rows = rows as usize;
        if rows == 0 || rows > self.size[0] - done {
            return Ok(None);
        }
        let mut hasher = Hasher::new();
        let mut ids = vec![0; rows * self.size[1]];
        if !fills(file, &mut ids)? {
            return Ok(None);
        }
        hasher.update(&ids);
        let mut probabilities = Vec::with_capacity(ids.len() * self.shares);
        let mut bytes = vec![0; 4 * AT_ONCE];
        while probabilities.len() < ids.len() * self.shares {
            let some = &mut bytes[..4 * AT_ONCE.min(ids.len() * self.shares - probabilities.len())];
            if !fills(file, some)? {
                return Ok(None);
            }
            hasher.update(some);
            probabilities.extend(some.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)));
        }
        Ok((hasher.finalize() == sum).then_some(Rows { ids, probabilities }))
    }

    /// Returns the number of rows of each whole portion.
    fn portions(&self, file: &mut File) -> Result<Vec<u32>> {
        let (mut found, mut done) = (Vec::new(), 0);
        while done < self.size[0]
            && let Some(rows) = self.read(file, done)?
        {
            let count = rows.ids.len() / self.size[1];
            done += count;
            found.push(u32::try_from(count)?);
        }
        Ok(found)
    }
}

/// Fills `bytes`. Returns false if the file ends before.
fn fills(file: &mut File, bytes: &mut [u8]) -> std::io::Result<bool> {
    match file.read_exact(bytes) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}

/// The part file of an image whose prediction goes on.
pub struct Part {
    file: File,
    path: PathBuf,
    stretch: Stretch,
    /// Number of rows that are kept from before.
    done: u32,
    /// False once a portion could not be written.
    is_written: bool,
}

impl Part {
    /// Hands the rows that are kept from before to `add`, in the portions in which they were predicted.
    pub fn replay(&mut self, mut add: impl FnMut(&Rows) -> Result<()>) -> Result<()> {
        let mut done = 0;
        while done < self.done as usize {
            let read = self.stretch.read(&mut self.file, done).with_context(|| self.path.display().to_string())?;
            let rows = read.with_context(|| format!("{} was changed meanwhile", self.path.display()))?;
            done += rows.ids.len() / self.stretch.size[1];
            add(&rows)?;
        }
        let end = self.file.stream_position()?;
        Ok(self.file.set_len(end)?)
    }

    /// Keeps the next rows. If they cannot be written, the prediction goes on without.
    pub fn add(&mut self, rows: &Rows) {
        if self.is_written {
            let written = self.append(rows);
            self.keep(written);
        }
    }

    fn append(&mut self, rows: &Rows) -> std::io::Result<()> {
        let mut sum = Hasher::new();
        sum.update(&rows.ids);
        let shares = || {
            let some = rows.probabilities.chunks(AT_ONCE);
            some.map(|some| some.iter().flat_map(|share| share.to_le_bytes()).collect::<Vec<u8>>())
        };
        shares().for_each(|bytes| sum.update(&bytes));
        let count = (rows.ids.len() / self.stretch.size[1]) as u32;
        let head = [count, sum.finalize()].map(u32::to_le_bytes).concat();
        self.file.write_all(&head)?;
        self.file.write_all(&rows.ids)?;
        shares().try_for_each(|bytes| self.file.write_all(&bytes))
    }

    /// Gives up keeping rows if they could not be written.
    fn keep(&mut self, written: std::io::Result<()>) {
        if let Err(error) = written {
            let path = self.path.display();
            log::warn!("No further row is kept in {path} ({error}): an interrupted prediction loses the others");
            self.is_written = false;
        }
    }

    /// Removes the file, once nothing of it is needed.
    pub fn remove(self) {
        // A failure is harmless: the file holds rows that are made again.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests;
