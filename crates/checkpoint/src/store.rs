//! Publishing, finding and removing the checkpoints of a run.
//!
//! Next to `step-NNNNNNNNNN`, the folder may hold leftovers of a killed run:
//!
//! - `.step-N.partial`: being written. Never read; removed by the next save.
//! - `.step-N.replaced`: the former `step-N`, while it is saved again. It stands in for `step-N` while that is missing,
//!   so one of the two always exists.
//! - `.step-N.removed`: outdated and half deleted. Never read; removed by the next save.

use crate::{
    Config, Error, Mode, Permit, Snapshot, files,
    hashed::Hashed,
    known::{Kept, Known},
    load,
    manifest::{self, Manifest},
    names::{hidden, name, parse},
    snapshot::verify,
    tensors,
};
use std::{
    cmp::Ordering,
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// The checkpoints of a run.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) folder: PathBuf,
    pub(crate) keep_last: usize,
    pub(crate) keep_every: Option<u64>,
    pub(crate) keep_best: bool,
    pub(crate) best: String,
    pub(crate) permit: Permit,
    mode: Mode,
    pub(crate) known: Known,
}

/// A checkpoint with its folder, if there is a valid one, and the damaged ones that were skipped on the way.
pub type Found = (Option<(PathBuf, Snapshot)>, Vec<Damaged>);

/// A checkpoint that cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[error("skipped checkpoint {}: {reason}", path.display())]
pub struct Damaged {
    /// Its folder, left unchanged.
    pub path: PathBuf,
    /// Reason, naming the file.
    pub reason: Error,
}

impl Store {
    /// Creates a store for the checkpoints in `folder`, which need not exist yet; its parent must exist by the first
    /// save.
    pub fn new(folder: impl Into<PathBuf>, config: &Config) -> Self {
        // The newest is always kept, even if nobody has checked the configuration.
        let keep_last = usize::try_from(config.keep_last).unwrap_or(usize::MAX).max(1);
        let Config { keep_every, keep_best, best, mode, .. } = config.clone();
        let (folder, known, permit) = (folder.into(), Known::default(), Permit::default());
        Self { folder, keep_last, keep_every, keep_best, best, permit, mode, known }
    }

    /// Returns the store with `permit`, which it asks before every change.
    #[must_use]
    pub fn permitted(self, permit: &Permit) -> Self {
        Self { permit: permit.clone(), ..self }
    }

    /// Returns a store that keeps all checkpoints, whatever the configuration: for a save that must cost no other one.
    #[must_use]
    pub fn keeping_all(self) -> Self {
        Self { keep_last: usize::MAX, ..self }
    }

    /// Publishes `snapshot` as `step-NNNNNNNNNN` and returns the path. On an error, earlier checkpoints are unchanged.
    /// Refuses a `model`, `optimizer` or `average` with NaN or infinity.
    ///
    /// An existing checkpoint of the step stays if it is valid and holds the same; otherwise it is replaced.
    ///
    /// Removes outdated checkpoints afterwards: all but the newest `keep_last`, the best, those of every `keep_every`
    /// epochs, this one, and damaged ones. A failed removal only logs a warning: nothing is lost, and the next save
    /// tries again.
    pub fn save(&self, snapshot: &Snapshot) -> Result<PathBuf, Error> {
        let path = self.write(snapshot)?;
        self.tidy(&path);
        Ok(path)
    }

    /// Publishes `snapshot` and removes nothing yet: the first half of [`Store::save`].
    pub(crate) fn write(&self, snapshot: &Snapshot) -> Result<PathBuf, Error> {
        let step = snapshot.progress.step;
        self.permit.ask().map_err(Error::refused)?;
        self.create_folder()?;
        self.clean()?;
        let partial = self.folder.join(hidden(step, "partial"));
        let published = write(snapshot, &partial).and_then(|manifest| {
            let path = self.publish(step, &partial, &manifest)?;
            self.known.remember(&path, &manifest, &self.best);
            Ok(path)
        });
        if published.is_err() {
            // If another run's folder has taken this one's place, `partial` would be that run's, and the refusal is the
            // error to return.
            self.permit.ask().map_err(Error::refused)?;
            // Best effort, to free a full disk; the next save removes it anyway.
            files::remove(&partial).ok();
        }
        published
    }

    /// Returns the folders of the published checkpoints, oldest first, valid or not.
    pub fn list(&self) -> Result<Vec<PathBuf>, Error> {
        let mut steps = BTreeMap::new();
        for path in self.entries()? {
            let Some((step, state)) = parse(&path) else { continue };
            match state {
                None => drop(steps.insert(step, path)),
                Some("replaced") => drop(steps.entry(step).or_insert(path)),
                Some(_) => {}
            }
        }
        Ok(steps.into_values().collect())
    }

    /// Loads the newest valid checkpoint.
    pub fn newest(&self) -> Result<Found, Error> {
        Ok(first_valid(self.list()?.into_iter().rev(), Vec::new()))
    }

    /// Loads the valid checkpoint with the best score, the earliest of equal ones. `None` if none has the score.
    pub fn best(&self) -> Result<Found, Error> {
        let mut damaged = Vec::new();
        let mut scored = Vec::new();
        for path in self.list()? {
            match Manifest::read(&path) {
                Ok(manifest) => scored.extend(manifest.score(&self.best).map(|score| (path, score))),
                Err(reason) => damaged.push(Damaged { path, reason }),
            }
        }
        // The sort is stable and the list is oldest first, so ties go to the earliest.
        scored.sort_by(|(_, a), (_, b)| self.order(*a, *b));
        Ok(first_valid(scored.into_iter().map(|(path, _)| path), damaged))
    }

    /// Returns the checkpoints whose manifest is, or once was, valid, oldest first. Reads each manifest only the first
    /// time.
    pub(crate) fn kept(&self) -> Result<Vec<(PathBuf, Kept)>, Error> {
        Ok(self.known.kept(self.list()?, &self.best))
    }

    /// Orders scores, the better one first.
    pub(crate) fn order(&self, a: f64, b: f64) -> Ordering {
        self.mode.prefers(b, a).cmp(&self.mode.prefers(a, b))
    }

    /// Creates the folder but never its parent, so that a run that a person removed does not reappear.
    pub(crate) fn create_folder(&self) -> Result<(), Error> {
        if self.folder.is_dir() {
            return Ok(());
        }
        fs::create_dir(&self.folder).map_err(Error::io("create", &self.folder))?;
        match self.folder.parent() {
            Some(parent) if parent != Path::new("") => files::sync_folder(parent),
            _ => Ok(()),
        }
    }

    fn entries(&self) -> Result<Vec<PathBuf>, Error> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(Error::io("read", &self.folder))?,
        };
        let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>();
        paths.map_err(Error::io("read", &self.folder))
    }

    /// Removes what a killed run left behind, and restores a checkpoint that it was about to replace.
    pub(crate) fn clean(&self) -> Result<(), Error> {
        for path in self.entries()? {
            match parse(&path) {
                Some((step, Some("replaced"))) if !self.folder.join(name(step)).exists() => {
                    files::rename(&path, &self.folder.join(name(step)))?;
                    files::sync_folder(&self.folder)?;
                }
                Some((_, Some(_))) => files::remove(&path)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Gives the finished folder `partial` its final name.
    fn publish(&self, step: u64, partial: &Path, manifest: &Manifest) -> Result<PathBuf, Error> {
        let path = self.folder.join(name(step));
        self.permit.ask().map_err(Error::refused)?;
        if !path.exists() {
            files::rename(partial, &path)?;
            files::sync_folder(&self.folder)?;
            return Ok(path);
        }
        if verify(&path).is_ok_and(|(old, _)| old.same_content(manifest)) {
            // The checkpoint exists: the rest of the new one only costs space until the next save.
            files::remove(partial).ok();
            return Ok(path);
        }
        let replaced = self.folder.join(hidden(step, "replaced"));
        self.permit.ask().map_err(Error::refused)?;
        files::rename(&path, &replaced)?;
        files::rename(partial, &path).inspect_err(|_| {
            // Best effort: the old one is found under its other name too.
            fs::rename(&replaced, &path).ok();
        })?;
        files::sync_folder(&self.folder)?;
        // It is no longer needed, so a failure only costs space until the next save.
        files::remove(&replaced).ok();
        Ok(path)
    }
}

/// Writes a whole checkpoint into the new folder `folder`, and flushes it to the disk.
///
/// A folder is renamed as a whole, so its files need no names of their own meanwhile (`regular::Partial`).
fn write(snapshot: &Snapshot, folder: &Path) -> Result<Manifest, Error> {
    fs::create_dir(folder).map_err(Error::io("create", folder))?;
    let mut manifest = Manifest::new(snapshot.progress, &snapshot.scores, snapshot.about.clone());
    for (state, tensors) in &snapshot.states {
        let name = manifest::file_of(state)?;
        let make = |file: &mut Hashed| tensors::write(state, tensors, snapshot.progress.step, file);
        let record = Hashed::create(&folder.join(&name), make)?;
        manifest.files.insert(name, record);
    }
    manifest.write(folder)?;
    files::sync_folder(folder)?;
    Ok(manifest)
}

fn first_valid(paths: impl Iterator<Item = PathBuf>, mut damaged: Vec<Damaged>) -> Found {
    for path in paths {
        match load(&path) {
            Ok(snapshot) => return (Some((path, snapshot)), damaged),
            Err(reason) => damaged.push(Damaged { path, reason }),
        }
    }
    (None, damaged)
}
