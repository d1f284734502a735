//! Remembers checkpoints that were written or read once, so that a save opens none of the older ones.

use crate::manifest::{self, Manifest};
use contract::Progress;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Remembered checkpoints by folder; `None` for one whose manifest is damaged. Clones share the map.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known(Arc<Mutex<BTreeMap<PathBuf, Option<Kept>>>>);

/// Properties of a checkpoint that decide whether it is kept.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    /// Progress of training.
    pub progress: Progress,
    /// Score that decides which is the best, if it has one.
    pub score: Option<f64>,
    /// Bytes of its states.
    pub bytes: u64,
    /// All its files, with their sizes.
    files: Vec<(String, u64)>,
}

impl Kept {
    fn new(folder: &Path, manifest: &Manifest, best: &str) -> Option<Self> {
        let mut files: Vec<(String, u64)> =
            manifest.files.iter().map(|(name, record)| (name.clone(), record.bytes)).collect();
        let bytes = files.iter().map(|(_, bytes)| bytes).sum();
        files.push((manifest::NAME.into(), fs::metadata(folder.join(manifest::NAME)).ok()?.len()));
        Some(Self { progress: manifest.progress, score: manifest.score(best), bytes, files })
    }

    /// Returns whether all files exist with their sizes. Opens none: checksums are compared when a checkpoint is
    /// loaded.
    pub fn is_whole(&self, folder: &Path) -> bool {
        let whole = |name: &str, bytes| {
            fs::metadata(folder.join(name)).is_ok_and(|about| about.is_file() && about.len() == bytes)
        };
        self.files.iter().all(|(name, bytes)| whole(name, *bytes))
    }
}

impl Known {
    /// Remembers the checkpoint that was just published in `folder`; `best` names the score that decides.
    pub fn remember(&self, folder: &Path, manifest: &Manifest, best: &str) {
        self.lock().insert(folder.into(), Kept::new(folder, manifest, best));
    }

    /// Returns those of the checkpoints `list` whose manifest is, or once was, valid, in its order. Reads each manifest
    /// only the first time.
    pub fn kept(&self, list: Vec<PathBuf>, best: &str) -> Vec<(PathBuf, Kept)> {
        let mut known = self.lock();
        // Another checkpoint may later take the name of one that was removed or renamed.
        let there: BTreeSet<&PathBuf> = list.iter().collect();
        known.retain(|folder, _| there.contains(folder));
        let kept = list.into_iter().filter_map(|folder| {
            let read = || Manifest::read(&folder).ok().and_then(|manifest| Kept::new(&folder, &manifest, best));
            let kept = known.entry(folder.clone()).or_insert_with(read).clone()?;
            Some((folder, kept))
        });
        kept.collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Option<Kept>>> {
        // Entries are inserted whole, so the map is valid even after a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
