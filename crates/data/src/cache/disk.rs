//! The cache on disk: one memory-mapped file per split, of samples whose targets are class ids.
//!
//! libtorch maps the file. The mapping is shared although nothing ever writes to it: a private writable mapping counts
//! as memory of the process, and Linux refuses one larger than the machine's memory. If the file cannot be mapped (one
//! that only others may write), it is read piece by piece. A file is only replaced or removed by name, never truncated
//! or overwritten in place, so every process that has it mapped keeps its content.

use super::build::{build, failed, lock};
use super::format::{Entry, Head, key, read};
use super::{Store, Tell, Told};
use crate::error::Error;
use crate::load::dataset::Dataset;
use crate::load::{Sample, Target, pixels};
use raster::Depth;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tch::{Device, Kind, TchError, Tensor};

/// Samples in a file; those missing or damaged there come from their source.
pub(crate) struct OnDisk {
    path: PathBuf,
    channels: usize,
    depth: Depth,
    entries: Vec<Entry>,
    bytes: Bytes,
    tell: Tell,
    /// Set once damage was found and reported.
    damaged: AtomicBool,
}

/// The bytes of a file.
pub(crate) enum Bytes {
    /// `[length]` u8. Locked only while a view of a part is made, not while the part is copied.
    Mapped(Mutex<Tensor>),
    File(Mutex<File>),
}

impl Bytes {
    pub(crate) fn open(path: &Path, length: u64) -> Result<Self, Error> {
        let mapped = path.to_str().and_then(|name| {
            Tensor::f_from_file(name, true, i64::try_from(length).ok()?, (Kind::Uint8, Device::Cpu)).ok()
        });
        Ok(match mapped {
            Some(tensor) => Self::Mapped(Mutex::new(tensor)),
            None => Self::File(Mutex::new(File::open(path).map_err(failed("open", path))?)),
        })
    }

    /// Fills `into` from `offset` on. Returns whether that succeeded.
    pub(crate) fn read(&self, offset: u64, into: &mut [u8]) -> bool {
        match self {
            Self::Mapped(tensor) => {
                let part = || -> Result<Tensor, TchError> {
                    let tensor = tensor.lock().unwrap_or_else(PoisonError::into_inner);
                    tensor.f_narrow(0, offset as i64, into.len() as i64)
                };
                part().is_ok_and(|part| part.f_copy_data_u8(into, into.len()).is_ok())
            }
            Self::File(file) => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_exact(into)).is_ok()
            }
        }
    }
}

/// Opens the cache `folder/STEM.cache` of `source`, whose samples are a function of its files and of `description`.
/// Builds it where there is none, or where the existing one is damaged or belongs to other files.
pub(crate) fn open(
    source: &Arc<dyn Dataset>,
    folder: &Path,
    stem: &str,
    description: &str,
    workers: u64,
    tell: &Tell,
) -> Result<OnDisk, Error> {
    fs::create_dir_all(folder).map_err(failed("make", folder))?;
    let path = folder.join(format!("{stem}.cache"));
    let (channels, depth) = (source.channels(), source.layout().depth);
    let head = Head { depth, channels, samples: source.len(), key: key(source.as_ref(), description) };
    let found = read(&path, &head).or_else(|_| {
        let _lock = lock(&path, tell)?;
        // Another process may have made it meanwhile.
        match read(&path, &head) {
            Ok(found) => return Ok(found),
            Err(Some(reason)) => tell(Told::Unfit { path: &path, reason: &reason }),
            Err(None) => {}
        }
        build(source, &path, &head, workers, tell)?;
        let said = |reason: Option<String>| std::io::Error::other(reason.unwrap_or("it is gone".into()));
        read(&path, &head).map_err(|reason| failed("read", &path)(said(reason)))
    });
    let (length, entries) = found?;
    tell(Told::Ready(&path));
    let bytes = Bytes::open(&path, length)?;
    Ok(OnDisk {
        channels: head.channels as usize,
        depth: head.depth,
        tell: Arc::clone(tell),
        path,
        entries,
        bytes,
        damaged: AtomicBool::new(false),
    })
}

impl OnDisk {
    /// Returns the index entry of a sample, if the file holds it.
    fn entry(&self, index: u64) -> Option<&Entry> {
        self.entries.get(usize::try_from(index).ok()?).filter(|entry| entry.offset > 0)
    }

    /// Reads into `bytes`. Returns whether they match the checksum.
    fn read(&self, offset: u64, bytes: &mut [u8], sum: u32) -> bool {
        self.bytes.read(offset, bytes) && crc32c::crc32c(bytes) == sum
    }

    /// Removes the file, so that the next run builds it anew, and reports the damage once.
    fn damaged(&self, source: &dyn Dataset, index: u64) {
        if self.damaged.swap(true, Ordering::Relaxed) {
            return;
        }
        // It may be gone already, or only others may remove it.
        let _ = fs::remove_file(&self.path);
        (self.tell)(Told::Damaged { path: &self.path, name: &source.name(index) });
    }
}

impl Store for OnDisk {
    fn load(&self, source: &dyn Dataset, index: u64, sample: &mut Sample) -> Result<(), Error> {
        if let Some(entry) = self.entry(index) {
            let area = pixels(entry.size);
            sample.size = entry.size;
            let ids = sample.target.classes_mut();
            ids.resize(area, 0);
            let numbers = area * self.channels;
            let mask = entry.offset + (numbers * self.depth.bytes()) as u64;
            let is_read =
                sample.image.fill_le_bytes(self.depth, numbers, |bytes| self.read(entry.offset, bytes, entry.sums[0]));
            if is_read && self.read(mask, ids, entry.sums[1]) {
                return Ok(());
            }
            self.damaged(source, index);
        }
        source.load(index, sample)
    }

    fn target(&self, source: &dyn Dataset, index: u64) -> Result<Target, Error> {
        if let Some(entry) = self.entry(index) {
            let mut mask = vec![0; pixels(entry.size)];
            if self.read(
                entry.offset + (mask.len() * self.channels * self.depth.bytes()) as u64,
                &mut mask,
                entry.sums[1],
            ) {
                return Ok(Target::Classes(mask));
            }
            self.damaged(source, index);
        }
        source.target(index)
    }
}
