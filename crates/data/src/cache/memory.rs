//! The cache in memory.

use super::Store;
use crate::dataset::{Dataset, Sample, pixels};
use crate::error::Error;
use std::fs;
use std::mem::size_of;
use std::sync::OnceLock;

/// Keeps samples as they are first loaded. Two threads that want the same sample at once may both load it; neither
/// waits for the other.
pub(super) struct InMemory {
    kept: Vec<OnceLock<Kept>>,
}

struct Kept {
    size: [u32; 2],
    /// Length of the image, and offset of the mask in `bytes`.
    image: usize,
    /// The image, then the mask.
    bytes: Box<[u8]>,
}

impl InMemory {
    /// Fails with [`Error::Memory`] if all samples together will not fit, as far as that can be known.
    pub(super) fn new(source: &dyn Dataset) -> Result<Self, Error> {
        let samples = source.len();
        let sample = source.size().map_or(0, |size| pixels(size) as u64 * u64::from(source.channels() + 1));
        let needed = samples.saturating_mul(sample + size_of::<OnceLock<Kept>>() as u64);
        match available() {
            Some(available) if needed > available => Err(Error::Memory { needed, available, samples }),
            _ => Ok(Self { kept: (0..samples).map(|_| OnceLock::new()).collect() }),
        }
    }

    fn find(&self, index: u64) -> Option<&OnceLock<Kept>> {
        self.kept.get(usize::try_from(index).ok()?)
    }
}

impl Store for InMemory {
    fn load(&self, source: &dyn Dataset, index: u64, sample: &mut Sample) -> Result<(), Error> {
        let slot = self.find(index);
        if let Some(kept) = slot.and_then(OnceLock::get) {
            let (image, mask) = kept.bytes.split_at(kept.image);
            sample.size = kept.size;
            sample.image.clear();
            sample.image.extend_from_slice(image);
            sample.mask.clear();
            sample.mask.extend_from_slice(mask);
            return Ok(());
        }
        source.load(index, sample)?;
        if let Some(slot) = slot {
            let bytes = [sample.image.as_slice(), &sample.mask].concat().into();
            // A thread that comes second has loaded the same sample.
            let _ = slot.set(Kept { size: sample.size, image: sample.image.len(), bytes });
        }
        Ok(())
    }

    fn mask(&self, source: &dyn Dataset, index: u64) -> Result<Vec<u8>, Error> {
        let mut sample = Sample::default();
        self.load(source, index, &mut sample).map(|()| sample.mask)
    }
}

/// Returns the bytes that the system can give without swapping; `None` where it does not say.
fn available() -> Option<u64> {
    let about = fs::read_to_string("/proc/meminfo").ok()?;
    let line = about.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}
