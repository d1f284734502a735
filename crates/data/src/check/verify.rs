//! Checks every target, and the beginning and end of every image, before the first step: a wrong label or a truncated
//! photograph costs seconds and not half a night.

use crate::decode::remarks::Noted;
use crate::error::{Error, guarded};
use crate::load::dataset::Dataset;
use crate::load::skipped::Passed;
use crate::load::sound::check_target;
use crate::load::{IGNORE, Target};
use std::collections::BTreeMap;
use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
use std::thread;

/// Result of checking every mask.
#[derive(Debug)]
pub struct Verified {
    /// Samples that cannot be loaded, with their indices, in order.
    pub passed: Vec<(u64, Passed)>,
    /// True for each id that occurs in any mask.
    pub shown: [bool; 256],
    /// Remarks on the files.
    pub noted: Noted,
}

/// Loads every mask of `dataset` with `workers` threads and checks that it holds only ids below `classes`, or
/// [`IGNORE`]. Of maps of numbers it checks size and values, whatever `classes` is. Of several invalid samples, the
/// error is that of the lowest index.
pub fn verify(dataset: &dyn Dataset, classes: u64, workers: u64) -> Result<(), Error> {
    verify_all_but(0, dataset, classes, workers).map(drop)
}

/// Does the same, but tolerates up to `most` unreadable samples. A wrong class id is an error in any case: its sample
/// can be loaded, and would be trained on.
pub fn verify_all_but(most: u64, dataset: &dyn Dataset, classes: u64, workers: u64) -> Result<Verified, Error> {
    let shown = [const { AtomicBool::new(false) }; 256];
    let next = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let unsound: Mutex<BTreeMap<u64, Error>> = Mutex::default();
    let noted: Mutex<Noted> = Mutex::default();
    // Indices are claimed in order, so once one is bad, every lower one has been claimed and will be checked.
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= dataset.len() {
                break;
            }
            for (remark, path) in dataset.remarks(index) {
                noted.lock().unwrap_or_else(PoisonError::into_inner).add(remark, index, path);
            }
            if let Err(error) =
                guarded(|| format!("the mask of sample {index}"), || check(dataset, index, classes, &shown))
            {
                let mut unsound = unsound.lock().unwrap_or_else(PoisonError::into_inner);
                let last = matches!(error, Error::Class { .. }) || unsound.len() as u64 >= most;
                unsound.insert(index, error);
                if last {
                    stop.store(true, Ordering::Relaxed);
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..workers.min(dataset.len()) {
            // If a thread cannot be started, the others do its work; this one works in any case.
            if thread::Builder::new().name("verify".into()).spawn_scoped(scope, work).is_err() {
                break;
            }
        }
        work();
    });
    let mut passed = Vec::new();
    for (index, error) in unsound.into_inner().unwrap_or_else(PoisonError::into_inner) {
        let name = dataset.name(index);
        match error {
            Error::Class { .. } => return Err(error),
            error if most == 0 => return Err(error),
            error if passed.len() as u64 >= most => {
                return Err(Error::TooManySkipped { name, most, source: error.into() });
            }
            error => passed.push((index, Passed { name, reason: error.to_string() })),
        }
    }
    let noted = noted.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Verified { passed, shown: shown.map(AtomicBool::into_inner), noted })
}

fn check(dataset: &dyn Dataset, index: u64, classes: u64, shown: &[AtomicBool; 256]) -> Result<(), Error> {
    let target = dataset.target(index)?;
    check_target(dataset, index, &target, dataset.size())?;
    let Target::Classes(mask) = target else { return Ok(()) };
    let mut holds = [false; 256];
    mask.into_iter().for_each(|id| holds[usize::from(id)] = true);
    for id in (0..=u8::MAX).filter(|id| holds[usize::from(*id)]) {
        if id != IGNORE && u64::from(id) >= classes {
            return Err(Error::Class { name: dataset.name(index), found: id, classes });
        }
        shown[usize::from(id)].store(true, Ordering::Relaxed);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Sample;

    /// 100 masks of one pixel that are valid, except the multiples of 7 from 40 on.
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
            *sample = Sample { size: [1, 1], image: vec![0u8; 3].into(), target: self.target(index)? };
            Ok(())
        }
        fn target(&self, index: u64) -> Result<Target, Error> {
            let ids = match index >= 40 && index.is_multiple_of(7) {
                true => (self.0)(index)?,
                false => vec![[0, 2, IGNORE][index as usize % 3]],
            };
            Ok(Target::Classes(ids))
        }
    }

    #[test]
    fn the_first_bad_mask_is_named_for_any_number_of_workers() {
        type Spoil = fn(u64) -> Result<Vec<u8>, Error>;
        let spoilers: [(Spoil, &str); 4] = [
            (|_| Ok(vec![3]), "sample 'sample-42': its mask holds the class id 3, expected ids below 3"),
            (|_| Ok(vec![0, 0]), "sample 'sample-42': its mask has 2 numbers, expected 1"),
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
    fn so_many_samples_may_be_unsound_but_no_class_may_be_wrong() {
        let broken = Spoilt(|index| Err(Error::Index { index, len: 0 }));
        for workers in [0, 1, 4] {
            let names = |most| {
                verify_all_but(most, &broken, 3, workers)
                    .map(|all| all.passed.into_iter().map(|(_, passed)| passed.name))
            };
            // 42, 49, …, 98
            assert_eq!(names(9).unwrap().count(), 9);
            assert_eq!(names(20).unwrap().next_back().unwrap(), "sample-98");
            let error = names(3).err().unwrap().to_string();
            assert!(error.starts_with("sample 'sample-63': there is no sample 63"), "{error}");
            let error = verify_all_but(50, &Spoilt(|_| Ok(vec![3])), 3, workers).unwrap_err().to_string();
            assert!(error.contains("'sample-42': its mask holds the class id 3"), "{error}");
        }
    }

    #[test]
    fn sound_masks_pass() {
        for workers in [0, 1, 4] {
            let verified = verify_all_but(0, &Spoilt(|_| Ok(vec![1])), 3, workers).unwrap();
            let shown: Vec<usize> = (0..256).filter(|id| verified.shown[*id]).collect();
            assert_eq!((verified.passed.len(), shown), (0, vec![0, 1, 2, usize::from(IGNORE)]));
        }
    }
}
