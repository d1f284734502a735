//! A look at every mask before the first step, so that a wrong label costs seconds and not half a night.

use crate::dataset::{Dataset, IGNORE, pixels};
use crate::error::{Error, guarded};
use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
use std::thread;

/// Loads every mask of `dataset` with `workers` threads and sees that it holds ids below `classes`, or [`IGNORE`], and
/// nothing else. Of several unsound samples the one with the lowest index is the error.
pub fn verify(dataset: &dyn Dataset, classes: u64, workers: u64) -> Result<(), Error> {
    let next = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let worst: Mutex<Option<(u64, Error)>> = Mutex::new(None);
    // Indices are claimed in order, so when one turns out bad, every lower one has been claimed and will be looked at.
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= dataset.len() {
                break;
            }
            if let Err(error) = guarded(|| format!("the mask of sample {index}"), || check(dataset, index, classes)) {
                stop.store(true, Ordering::Relaxed);
                let mut worst = worst.lock().unwrap_or_else(PoisonError::into_inner);
                if worst.as_ref().is_none_or(|(lowest, _)| index < *lowest) {
                    *worst = Some((index, error));
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..workers.min(dataset.len()) {
            // A thread that the system does not give leaves more to the others; this one works in any case.
            if thread::Builder::new().name("verify".into()).spawn_scoped(scope, work).is_err() {
                break;
            }
        }
        work();
    });
    match worst.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

fn check(dataset: &dyn Dataset, index: u64, classes: u64) -> Result<(), Error> {
    let mask = dataset.mask(index)?;
    let (expected, found) = (dataset.size().map(pixels), mask.len());
    if let Some(expected) = expected.filter(|expected| *expected != found) {
        return Err(Error::Shape { name: dataset.name(index), what: "mask", expected, found });
    }
    match mask.into_iter().find(|&class| class != IGNORE && u64::from(class) >= classes) {
        Some(found) => Err(Error::Class { name: dataset.name(index), found, classes }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Sample;

    /// 100 masks of one pixel that are sound, but for those from 40 on that 7 divides.
    struct Spoilt(fn(u64) -> Result<Vec<u8>, Error>);

    impl Dataset for Spoilt {
        fn len(&self) -> u64 {
            100
        }
        fn size(&self) -> Option<[u32; 2]> {
            Some([1, 1])
        }
        fn name(&self, index: u64) -> String {
            format!("sample-{index}")
        }
        fn load(&self, index: u64, sample: &mut Sample) -> Result<(), Error> {
            *sample = Sample { size: [1, 1], image: vec![0; 3], mask: self.mask(index)? };
            Ok(())
        }
        fn mask(&self, index: u64) -> Result<Vec<u8>, Error> {
            if index >= 40 && index.is_multiple_of(7) {
                (self.0)(index)
            } else {
                Ok(vec![[0, 2, IGNORE][index as usize % 3]])
            }
        }
    }

    #[test]
    fn the_first_bad_mask_is_named_for_any_number_of_workers() {
        type Spoil = fn(u64) -> Result<Vec<u8>, Error>;
        let spoilers: [(Spoil, &str); 4] = [
            (|_| Ok(vec![3]), "sample 'sample-42': its mask holds the class id 3, expected ids below 3"),
            (|_| Ok(vec![0, 0]), "sample 'sample-42': its mask has 2 bytes, expected 1"),
            (|index| Err(Error::Index { index, len: 0 }), "there is no sample 42"),
            (|index| panic!("ouch {index}"), "the mask of sample 42 panicked: ouch 42"),
        ];
        for (spoil, says) in spoilers {
            for workers in [0, 1, 4, 1000] {
                let error = verify(&Spoilt(spoil), 3, workers).unwrap_err().to_string();
                assert!(error.contains(says), "{error}");
            }
        }
    }

    #[test]
    fn sound_masks_pass() {
        for workers in [0, 1, 4] {
            verify(&Spoilt(|_| Ok(vec![1])), 3, workers).unwrap();
        }
    }
}
