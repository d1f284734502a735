//! The cache in memory.

use super::{Cached, Store};
use crate::error::Error;
use crate::load::dataset::Dataset;
use crate::load::{Sample, Target, pixels};
use std::fs;
use std::mem::size_of;
use std::sync::{Arc, OnceLock};

/// Keeps the samples of a data set in memory as they are first loaded, before any transform: worth it where decoding
/// takes longer than training. The cache on disk ([`Cache::Disk`](crate::Cache::Disk)) is for the data sets of a
/// [`Config`](crate::Config) alone: samples of your own mostly lie on a disk in the form in which they are loaded.
///
/// # Errors
///
/// [`Error::Memory`] if all samples together will not fit, as far as that can be known.
pub fn in_memory(source: Arc<dyn Dataset>) -> Result<Arc<dyn Dataset>, Error> {
    in_each(1, source)
}

/// Does the same in each of several processes of this machine. A cache is that of its process alone, and in the course
/// of the epochs each process loads all samples.
pub(crate) fn in_each(processes: u64, source: Arc<dyn Dataset>) -> Result<Arc<dyn Dataset>, Error> {
    let store = InMemory::new(source.as_ref(), processes)?;
    Ok(Arc::new(Cached { source, store }))
}

/// Keeps samples as they are first loaded. Two threads that want the same sample at once may both load it; neither
/// waits for the other.
pub(crate) struct InMemory {
    kept: Vec<OnceLock<Sample>>,
}

impl InMemory {
    /// Fails with [`Error::Memory`] if all samples together will not fit, as far as that can be known.
    pub(crate) fn new(source: &dyn Dataset, processes: u64) -> Result<Self, Error> {
        let samples = source.len();
        let pixel =
            u64::from(source.channels()) * source.layout().depth.bytes() as u64 + source.targets().bytes() as u64;
        let sample = source.size().map_or(0, |size| pixels(size) as u64 * pixel);
        let own = samples.saturating_mul(sample + size_of::<OnceLock<Sample>>() as u64);
        let needed = own.saturating_mul(processes.max(1));
        match available() {
            Some(available) if needed > available => Err(Error::Memory { needed, available, samples, processes }),
            _ => Ok(Self { kept: (0..samples).map(|_| OnceLock::new()).collect() }),
        }
    }

    fn find(&self, index: u64) -> Option<&OnceLock<Sample>> {
        self.kept.get(usize::try_from(index).ok()?)
    }
}

impl Store for InMemory {
    fn load(&self, source: &dyn Dataset, index: u64, sample: &mut Sample) -> Result<(), Error> {
        let slot = self.find(index);
        if let Some(kept) = slot.and_then(OnceLock::get) {
            sample.size = kept.size;
            sample.image.copy_from(&kept.image);
            sample.target.copy_from(&kept.target);
            return Ok(());
        }
        source.load(index, sample)?;
        if let Some(slot) = slot {
            // A thread that comes second has loaded the same sample.
            let _ = slot.set(sample.clone());
        }
        Ok(())
    }

    fn target(&self, source: &dyn Dataset, index: u64) -> Result<Target, Error> {
        let mut sample = Sample::default();
        self.load(source, index, &mut sample).map(|()| sample.target)
    }
}

/// Returns the bytes that the system can give without swapping; `None` where it does not say.
fn available() -> Option<u64> {
    let about = fs::read_to_string("/proc/meminfo").ok()?;
    let line = about.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}
