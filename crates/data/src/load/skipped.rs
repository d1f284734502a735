//! Samples that could not be loaded and were skipped, each with the reason, for reports.

use crate::error::Error;
use contract::{BoxError, Ranks, StateDict, TorchError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tch::Tensor;

/// Name of the tensor in which a rank tells the others what it skipped.
const TOLD: &str = "skipped";

/// A skipped sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// Its name.
    pub name: String,
    /// Reason why it could not be loaded.
    pub reason: String,
}

/// The samples that a loader has skipped so far, each once, in however many epochs it occurred.
#[derive(Debug)]
pub struct Skipped {
    most: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    by_index: BTreeMap<u64, Passed>,
    /// Samples that [`Skipped::fresh`] has not returned yet.
    fresh: Vec<Passed>,
}

impl Skipped {
    pub(crate) fn new(most: u64) -> Self {
        Self { most, state: Mutex::default() }
    }

    /// Returns whether any sample may be skipped.
    pub(crate) fn allowed(&self) -> bool {
        self.most > 0
    }

    /// Records that the sample at `index` was skipped; an error if that is one too many.
    pub(crate) fn add(&self, index: u64, name: String, error: Error) -> Result<(), Error> {
        let mut state = self.lock();
        if state.by_index.contains_key(&index) {
            return Ok(());
        }
        if state.by_index.len() as u64 >= self.most {
            return Err(Error::TooManySkipped { name, most: self.most, source: error.into() });
        }
        let passed = Passed { name, reason: error.to_string() };
        state.fresh.push(passed.clone());
        state.by_index.insert(index, passed);
        Ok(())
    }

    /// Adds samples that were found unreadable before, by index: they are not reported again, but count towards the
    /// limit.
    pub fn remember(&self, found: impl IntoIterator<Item = (u64, Passed)>) {
        self.lock().by_index.extend(found);
    }

    /// Takes in what the other ranks skipped, which is not reported again here. Each rank meets only its own share of
    /// the samples, so until then a rank's limit is one for those. All ranks must call it at the same step, the end of
    /// an epoch for example.
    ///
    /// # Errors
    ///
    /// Fails on all ranks if they skipped too many together, or if a rank fails.
    pub fn gather(&self, ranks: &dyn Ranks) -> Result<(), BoxError> {
        let own = serde_json::to_vec(&self.lock().by_index)?;
        let own = Tensor::f_from_slice(&own).map_err(TorchError::from)?;
        let told = ranks.gather(&StateDict::from([(TOLD.to_string(), own)]))?;
        let mut state = self.lock();
        for bytes in told.iter().filter_map(|state| state.get(TOLD)) {
            let bytes = Vec::<u8>::try_from(bytes).map_err(TorchError::from)?;
            let theirs: BTreeMap<u64, Passed> = serde_json::from_slice(&bytes)?;
            theirs.into_iter().for_each(|(index, passed)| _ = state.by_index.entry(index).or_insert(passed));
        }
        let most = self.most;
        match state.by_index.values().nth(usize::try_from(most)?) {
            None => Ok(()),
            Some(Passed { name, reason }) => Err(format!(
                "sample '{name}': {reason}; with {most} others that the ranks skipped it is one more than \
                 data.loader.max_skipped allows"
            )
            .into()),
        }
    }

    /// Returns the samples skipped since the last call, in the order of their batches.
    pub fn fresh(&self) -> Vec<Passed> {
        std::mem::take(&mut self.lock().fresh)
    }

    /// Returns all skipped samples, in the order of the data set.
    pub fn all(&self) -> Vec<Passed> {
        self.lock().by_index.values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counts_once_and_one_too_many_is_an_error_that_names_it() {
        let skipped = Skipped::new(2);
        let add = |index: u64| skipped.add(index, format!("s{index}"), Error::Index { index, len: 1 });
        for index in [7, 3, 7, 3, 7] {
            add(index).unwrap();
        }
        let names = |passed: Vec<Passed>| passed.into_iter().map(|passed| passed.name).collect::<Vec<_>>();
        assert_eq!(names(skipped.fresh()), ["s7", "s3"]);
        assert_eq!((names(skipped.fresh()), names(skipped.all())), (vec![], vec!["s3".into(), "s7".into()]));
        let error = add(5).unwrap_err().to_string();
        assert!(error.starts_with("sample 's5': there is no sample 5: the data set has 1; 2 others"), "{error}");
        add(3).unwrap();
        let known = Skipped::new(2);
        known.remember([(7, Passed { name: "s7".into(), reason: String::new() })]);
        for index in [7, 3, 7] {
            known.add(index, format!("s{index}"), Error::Index { index, len: 1 }).unwrap();
        }
        assert_eq!((names(known.fresh()), names(known.all())), (vec!["s3".into()], vec!["s3".into(), "s7".into()]));
        assert!(known.add(5, "s5".into(), Error::Index { index: 5, len: 1 }).is_err());
        assert!(Skipped::new(0).add(0, String::new(), Error::Index { index: 0, len: 0 }).is_err());
    }

    #[test]
    fn what_ranks_skip_counts_together_once_they_gather() {
        let skip = |most: u64, by_rank: &'static [&'static [u64]]| {
            testing::together(by_rank.len(), |ranks| {
                let skipped = Skipped::new(most);
                let passed = |name: &str| Passed { name: name.into(), reason: "no \"mask\"".into() };
                skipped.remember([(1, passed("s1"))]);
                for index in by_rank[ranks.rank()] {
                    skipped.add(*index, format!("s{index}"), Error::Index { index: *index, len: 1 }).unwrap();
                }
                let done = skipped.gather(ranks).map_err(|error| error.to_string());
                let names = |passed: Vec<Passed>| passed.into_iter().map(|passed| passed.name).collect::<Vec<_>>();
                (done, names(skipped.all()), names(skipped.fresh()).len())
            })
        };
        let (all, own) = (["s1", "s2", "s7"].map(String::from).to_vec(), [1, 0, 2]);
        for (found, own) in skip(3, &[&[7], &[], &[2, 7, 1]]).into_iter().zip(own) {
            assert_eq!(found, (Ok(()), all.clone(), own));
        }
        for (done, ..) in skip(2, &[&[7], &[2]]) {
            let error = done.unwrap_err();
            assert!(error.starts_with("sample 's7': there is no sample 7"), "{error}");
            assert!(error.contains("with 2 others that the ranks skipped"), "{error}");
        }
    }
}
