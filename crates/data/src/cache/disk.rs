//! The cache on disk: one file a split, mapped into memory.
//!
//! The file is mapped by libtorch. It is mapped for sharing, though nothing ever writes into it: a private mapping that
//! could be written to counts as memory of the process, and Linux refuses one that is larger than the machine's. Where a
//! mapping cannot be had (a file that only others may write), the file is read piece by piece. A file is replaced or
//! removed by its name only, never cut or written in its place, so whoever has it mapped keeps what was in it.

use super::build::{build, failed, lock};
use super::format::{Entry, Head, key, read};
use super::{Store, Tell, Told};
use crate::dataset::{Dataset, Sample, pixels};
use crate::error::Error;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tch::{Device, Kind, TchError, Tensor};

/// Keeps samples in a file; those that are not in it, or are damaged there, come from their source.
pub(super) struct OnDisk {
    path: PathBuf,
    channels: usize,
    entries: Vec<Entry>,
    bytes: Bytes,
    tell: Tell,
    /// Whether damage was found, and told.
    damaged: AtomicBool,
}

/// The bytes of the file.
enum Bytes {
    /// `[length]` u8. Locked for as long as it takes to make a view of a part, not to copy it.
    Mapped(Mutex<Tensor>),
    File(Mutex<File>),
}

impl Bytes {
    fn open(path: &Path, length: u64) -> Result<Self, Error> {
        let mapped = path.to_str().and_then(|name| {
            Tensor::f_from_file(name, true, i64::try_from(length).ok()?, (Kind::Uint8, Device::Cpu)).ok()
        });
        Ok(match mapped {
            Some(tensor) => Self::Mapped(Mutex::new(tensor)),
            None => Self::File(Mutex::new(File::open(path).map_err(failed("open", path))?)),
        })
    }

    /// Fills `into` from `offset` on; whether that was possible.
    fn read(&self, offset: u64, into: &mut [u8]) -> bool {
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

/// The cache `folder/STEM.cache` of `dataset`, whose samples are a function of its files and of `description`. It is made
/// where there is none, or one of other files, or a damaged one.
pub(super) fn open(
    source: &Arc<dyn Dataset>,
    folder: &Path,
    stem: &str,
    description: &str,
    workers: u64,
    tell: &Tell,
) -> Result<OnDisk, Error> {
    fs::create_dir_all(folder).map_err(failed("make", folder))?;
    let path = folder.join(format!("{stem}.cache"));
    let head = Head { channels: source.channels(), samples: source.len(), key: key(source.as_ref(), description) };
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
        tell: Arc::clone(tell),
        path,
        entries,
        bytes,
        damaged: AtomicBool::new(false),
    })
}

impl OnDisk {
    /// Where a sample is, if it is in the file.
    fn entry(&self, index: u64) -> Option<&Entry> {
        self.entries.get(usize::try_from(index).ok()?).filter(|entry| entry.offset > 0)
    }

    /// Reads into `bytes`, and sees that it is what was written.
    fn read(&self, offset: u64, bytes: &mut [u8], sum: u32) -> bool {
        self.bytes.read(offset, bytes) && crc32c::crc32c(bytes) == sum
    }

    /// Lets the next run make the file anew.
    fn damaged(&self, source: &dyn Dataset, index: u64) {
        if self.damaged.swap(true, Ordering::Relaxed) {
            return;
        }
        // It is gone already, or somebody else's to remove.
        let _ = fs::remove_file(&self.path);
        (self.tell)(Told::Damaged { path: &self.path, name: &source.name(index) });
    }
}

impl Store for OnDisk {
    fn load(&self, source: &dyn Dataset, index: u64, sample: &mut Sample) -> Result<(), Error> {
        if let Some(entry) = self.entry(index) {
            let area = pixels(entry.size);
            sample.size = entry.size;
            sample.image.resize(area * self.channels, 0);
            sample.mask.resize(area, 0);
            let mask = entry.offset + sample.image.len() as u64;
            if self.read(entry.offset, &mut sample.image, entry.sums[0])
                && self.read(mask, &mut sample.mask, entry.sums[1])
            {
                return Ok(());
            }
            self.damaged(source, index);
        }
        source.load(index, sample)
    }

    fn mask(&self, source: &dyn Dataset, index: u64) -> Result<Vec<u8>, Error> {
        if let Some(entry) = self.entry(index) {
            let mut mask = vec![0; pixels(entry.size)];
            if self.read(entry.offset + (mask.len() * self.channels) as u64, &mut mask, entry.sums[1]) {
                return Ok(mask);
            }
            self.damaged(source, index);
        }
        source.mask(index)
    }
}
