//! Data sets with an index of where their classes are: for each sample and class the number of pixels, and positions of
//! up to [`LISTED`] of them (the `class_locations` of nnU-Net: F. Isensee and others, "nnU-Net: a self-configuring
//! method for deep learning-based biomedical image segmentation", Nature Methods 18, 2021).
//!
//! The index is made once, by reading every mask, and kept in a file beside the caches, under the same rules: complete
//! or not there at all, made by one process while others wait, made anew where files or settings changed. A table of
//! the samples is held in memory, 40 bytes a sample and 16 for each of its classes; positions are read as needed.

mod build;
mod format;
mod locate;
#[cfg(test)]
mod tests;

use crate::cache::build::{clean, failed, lock};
use crate::cache::disk::Bytes;
use crate::cache::format::key;
use crate::cache::{Tell, Told};
use crate::error::Error;
use crate::load::class_index::{ClassIndex, Present};
use crate::load::dataset::{Dataset, as_the_source};
use crate::load::{Sample, Target, Targets, pixels};
use crate::transform::resize::Rectangle;
use contract::Invalid;
use format::{Head, Row, VERSION, read};
use regular::Partial;
use std::fs::{self, File};
use std::io::{self, BufWriter, Cursor};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Maximum number of pixels of each class and sample whose positions are listed.
const LISTED: u32 = 1000;

/// A data set with the index of its classes.
pub(crate) struct Indexed {
    source: Arc<dyn Dataset>,
    rows: Vec<Row>,
    records: Records,
    tell: Tell,
    /// Set once damage was found and reported.
    damaged: AtomicBool,
}

/// The positions of all samples.
enum Records {
    /// File at this path.
    Stored(PathBuf, Bytes),
    /// Content of such a file.
    Memory(Vec<u8>),
}

/// Adds an index of where its classes are to a data set, made by reading every mask with `workers` threads, and kept in
/// memory: 4 kB for each class of each sample. Crops with `foreground` and weighted samplers need it.
/// [`Config::open_cached`](crate::Config::open_cached) does this for the data sets of a configuration, in a file.
///
/// # Errors
///
/// Refuses targets that are no class ids, and fails where no thread can be started. A sample that cannot be loaded is
/// no error here; it shows no class.
pub fn indexed(source: Arc<dyn Dataset>, workers: u64) -> Result<Arc<dyn Dataset>, Error> {
    let tell: Tell = Arc::new(|_| ());
    Ok(Arc::new(in_memory(source, head_of([0; 32], 0), workers, &tell)?))
}

/// Opens the index `folder/STEM.classes` of `source`, whose masks are a function of its files and of `description`.
/// Makes it where there is none, or where the existing one is damaged or belongs to other files. An index that cannot
/// be written is kept in memory.
pub(crate) fn open(
    source: Arc<dyn Dataset>,
    folder: &Path,
    stem: &str,
    description: &str,
    workers: u64,
    tell: &Tell,
) -> Result<Indexed, Error> {
    let path = folder.join(format!("{stem}.classes"));
    let description = format!("{description} classes {VERSION}");
    let head = head_of(key(source.as_ref(), &description), source.len());
    match stored(&source, &path, &head, workers, tell) {
        Ok((rows, bytes)) => {
            tell(Told::Indexed(&path));
            let records = Records::Stored(path, bytes);
            Ok(Indexed { source, rows, records, tell: Arc::clone(tell), damaged: AtomicBool::new(false) })
        }
        Err(Error::Cache { doing, path, source: reason }) => {
            tell(Told::Unkept { path: &path, reason: &format!("cannot {doing} it: {reason}") });
            in_memory(source, head, workers, tell)
        }
        Err(error) => Err(error),
    }
}

fn head_of(key: [u8; 32], samples: u64) -> Head {
    Head { samples, most: LISTED, key }
}

/// Makes the index of `source` in memory.
fn in_memory(source: Arc<dyn Dataset>, head: Head, workers: u64, tell: &Tell) -> Result<Indexed, Error> {
    if !matches!(source.targets(), Targets::Classes) {
        let problem = "must be class ids for an index of the classes, and are numbers".into();
        return Err(Invalid { key: "targets".into(), problem }.into());
    }
    let head = Head { samples: source.len(), ..head };
    let mut bytes = Cursor::new(Vec::new());
    let failed = |error| failed("make", Path::new("the index of the classes"))(error);
    let rows = build::write(&source, &head, workers, |told| tell(told), &mut bytes, failed)?;
    let records = Records::Memory(bytes.into_inner());
    Ok(Indexed { source, rows, records, tell: Arc::clone(tell), damaged: AtomicBool::new(false) })
}

/// Opens the file of an index, which is made first where it has to be.
fn stored(
    source: &Arc<dyn Dataset>,
    path: &Path,
    head: &Head,
    workers: u64,
    tell: &Tell,
) -> Result<(Vec<Row>, Bytes), Error> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let rows = read(path, head).or_else(|_| -> Result<Vec<Row>, Error> {
        fs::create_dir_all(folder).map_err(failed("make", folder))?;
        let _lock = lock(path, tell)?;
        // Another process may have made it meanwhile.
        match read(path, head) {
            Ok(rows) => return Ok(rows),
            Err(Some(reason)) => tell(Told::Unfit { path, reason: &reason }),
            Err(None) => {}
        }
        clean(folder, path)?;
        // A name that `clean` recognises.
        let partial = path.with_extension(format!("classes.{}.partial", std::process::id()));
        let partial = Partial::named(partial, path).map_err(|refused| failed("make", &refused.path)(refused.source))?;
        let mut file = BufWriter::new(partial.file());
        let written = |error: io::Error| failed("write", partial.path())(error);
        let rows = build::write(source, head, workers, |told| tell(told), &mut file, written)?;
        drop(file);
        partial.publish().map_err(|refused| failed(refused.doing, &refused.path)(refused.source))?;
        Ok(rows)
    })?;
    let length = File::open(path).and_then(|file| file.metadata()).map_err(failed("open", path))?.len();
    Ok((rows, Bytes::open(path, length)?))
}

impl Indexed {
    fn row(&self, index: u64) -> Option<&Row> {
        self.rows.get(usize::try_from(index).ok()?)
    }

    /// Reads the positions of a sample; `None` if they are damaged.
    fn places(&self, row: &Row) -> Option<Vec<u32>> {
        let mut bytes = vec![0; row.bytes() as usize];
        match &self.records {
            Records::Stored(_, stored) => stored.read(row.offset, &mut bytes).then_some(())?,
            Records::Memory(kept) => {
                let end = row.offset as usize + bytes.len();
                bytes.copy_from_slice(kept.get(row.offset as usize..end)?);
            }
        }
        let places = || bytes.as_chunks().0.iter().map(|place| u32::from_le_bytes(*place));
        let within = |place: u32| (place as usize) < pixels(row.size);
        (crc32c::crc32c(&bytes) == row.sum && places().all(within)).then(|| places().collect())
    }

    /// Removes the file, so that the next run makes it anew, and reports the damage once.
    fn report_damage(&self, index: u64) {
        if let Records::Stored(path, _) = &self.records
            && !self.damaged.swap(true, Ordering::Relaxed)
        {
            // It may be gone already, or only others may remove it.
            let _ = fs::remove_file(path);
            (self.tell)(Told::Damaged { path, name: &self.source.name(index) });
        }
    }
}

impl ClassIndex for Indexed {
    fn present(&self, index: u64) -> &[Present] {
        self.row(index).map_or(&[], |row| &row.shown)
    }

    fn pixel(&self, index: u64, class: u8, place: u32) -> Result<Option<[u32; 2]>, Error> {
        let Some(row) = self.row(index) else { return Ok(None) };
        let before = row.shown.iter().take_while(|shown| shown.class < class).map(|shown| shown.listed).sum::<u32>();
        let has = row.shown.iter().any(|shown| shown.class == class && place < shown.listed);
        if !has {
            return Ok(None);
        }
        let places = match self.places(row) {
            Some(places) => places,
            None => {
                self.report_damage(index);
                let found = build::read(self.source.as_ref(), index, LISTED);
                found.map(|(_, found)| found.into_iter().flat_map(|found| found.places).collect()).unwrap_or_default()
            }
        };
        let width = row.size[1].max(1);
        Ok(places.get((before + place) as usize).map(|at| [at / width, at % width]))
    }
}

impl Dataset for Indexed {
    as_the_source!();

    fn load(&self, index: u64, sample: &mut Sample) -> Result<(), Error> {
        self.source.load(index, sample)
    }

    fn part(
        &self,
        index: u64,
        choose: &mut dyn FnMut([u32; 2]) -> Rectangle,
        sample: &mut Sample,
    ) -> Result<bool, Error> {
        self.source.part(index, choose, sample)
    }

    fn target(&self, index: u64) -> Result<Target, Error> {
        self.source.target(index)
    }

    fn mask(&self, index: u64) -> Result<([u32; 2], Vec<u8>), Error> {
        self.source.mask(index)
    }

    fn class_index(&self) -> Option<&dyn ClassIndex> {
        Some(self)
    }
}
