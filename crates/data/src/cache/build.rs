//! Builds a cache file under a temporary name, flushes it and then renames it, so that a file with the final name is
//! complete.

use super::format::{Entry, Head, aligned, encode, front};
use super::{Tell, Told};
use crate::error::{Error, guarded};
use crate::load::dataset::Dataset;
use crate::load::ordered::Ordered;
use crate::load::{Sample, Target, pixels};
use regular::Partial;
use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

/// Extension of unfinished files.
const PARTIAL: &str = "partial";
/// Size of the write buffer, in bytes.
const BUFFER: usize = 1 << 20;
/// Number of samples that each thread loads ahead of the one being written.
const AHEAD: u64 = 4;

pub(crate) fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Cache { doing, path: path.into(), source }
}

/// Takes the lock for building the file at `path`, waiting for its holder. The system releases it when the process
/// ends. On file systems without locks this locks nothing; two processes may then both build the file, with the same
/// content.
pub(crate) fn lock(path: &Path, tell: &Tell) -> Result<File, Error> {
    let beside = path.with_extension("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&beside);
    let file = file.map_err(failed("open", &beside))?;
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        tell(Told::Waiting(path));
        file.lock().map_err(failed("lock", &beside))?;
    }
    Ok(file)
}

/// Builds the file at `path` from all samples of `dataset`, with `workers` threads. First removes the unfinished files
/// of killed processes, so the caller must hold the [`lock`]. Leaves nothing behind after an error.
pub(super) fn build(
    dataset: &Arc<dyn Dataset>,
    path: &Path,
    head: &Head,
    workers: u64,
    tell: &Tell,
) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(Path::new("."));
    clean(folder, path)?;
    let sample = dataset.size().map_or(0, |size| aligned(pixels(size) as u64 * u64::from(head.pixel() + 1)));
    let needed = front(head.samples).saturating_add(head.samples.saturating_mul(sample));
    let free = fs4::available_space(folder).map_err(failed("find the free space of", folder))?;
    if needed > free {
        return Err(Error::NoRoom { folder: folder.into(), needed, free });
    }
    // A name that `clean` recognises.
    let partial = path.with_extension(format!("{}.{PARTIAL}", std::process::id()));
    let partial = Partial::named(partial, path).map_err(|refused| failed("make", &refused.path)(refused.source))?;
    write(dataset, &partial, head, workers, tell)?;
    partial.publish().map_err(|refused| failed(refused.doing, &refused.path)(refused.source))
}

/// Removes unfinished files.
pub(crate) fn clean(folder: &Path, path: &Path) -> Result<(), Error> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    for entry in fs::read_dir(folder).map_err(failed("read", folder))?.flatten() {
        let name = entry.file_name();
        let rest = name.to_string_lossy();
        let rest = rest.strip_prefix(stem.as_ref()).and_then(|rest| rest.strip_suffix(PARTIAL));
        if rest.is_some_and(|rest| rest.starts_with('.')) {
            fs::remove_file(entry.path()).map_err(failed("remove", &entry.path()))?;
        }
    }
    Ok(())
}

fn write(dataset: &Arc<dyn Dataset>, partial: &Partial, head: &Head, workers: u64, tell: &Tell) -> Result<(), Error> {
    let mut file = BufWriter::with_capacity(BUFFER, partial.file());
    let partial = partial.path();
    let mut end = front(head.samples);
    let mut entries = Vec::with_capacity(head.samples as usize);
    file.seek(SeekFrom::Start(end)).map_err(failed("write", partial))?;
    let (source, head) = (Arc::clone(dataset), *head);
    let job = move |index| Ok(load(source.as_ref(), index, head));
    let samples = Ordered::new(0..head.samples, workers, workers.saturating_mul(AHEAD), Box::new(job));
    for sample in samples {
        let mut entry = Entry::default();
        if let Some((size, image, mask)) = sample? {
            entry = Entry { offset: aligned(end), size, sums: [&image, &mask].map(|bytes| crc32c::crc32c(bytes)) };
            let padding = [0; 64];
            let parts = [&padding[..(entry.offset - end) as usize], &image, &mask];
            parts.iter().try_for_each(|part| file.write_all(part)).map_err(failed("write", partial))?;
            end = entry.offset + (image.len() + mask.len()) as u64;
        }
        entries.push(entry);
        tell(Told::Building { done: entries.len() as u64, total: head.samples });
    }
    file.rewind()
        .and_then(|()| file.write_all(&encode(&head, &entries, end)))
        .and_then(|()| file.into_inner().map_err(io::IntoInnerError::into_error))
        // If the last samples could not be loaded, nothing was written up to the end of the index.
        .and_then(|file| file.set_len(end))
        .map_err(failed("write", partial))
}

/// Returns size, bytes of the image and class ids of a sample, or `None` if it cannot be loaded: loading it from its
/// source reports why.
fn load(dataset: &dyn Dataset, index: u64, head: Head) -> Option<([u32; 2], Vec<u8>, Vec<u8>)> {
    let mut sample = Sample::default();
    guarded(|| format!("sample {index}"), || dataset.load(index, &mut sample)).ok()?;
    let Sample { size, image, target: Target::Classes(mask) } = sample else { return None };
    let area = pixels(size);
    let fits = area > 0 && mask.len() == area && image.len() == area * head.channels as usize;
    (fits && image.depth() == head.depth).then(|| (size, image.into_le_bytes(), mask))
}
