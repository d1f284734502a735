//! The checkpoints of a run: publishing, choosing and removing them.
//!
//! Beside `step-NNNNNNNNNN` the folder may hold what a killed run left behind. Each has a meaning:
//!
//! - `.step-N.partial`: being written. Never read; removed by the next save.
//! - `.step-N.replaced`: what `step-N` was before it was saved again. It stands in for `step-N` while that is missing,
//!   so there is no moment without the one or the other.
//! - `.step-N.removed`: outdated and half deleted. Never read; removed by the next save.

use crate::{
    Config, Error, Mode, Permit, Snapshot, files,
    hashed::Hashed,
    known::Known,
    load,
    manifest::{self, Manifest},
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

/// A checkpoint with its folder, if there is a valid one, and the damaged ones that were passed over on the way.
pub type Found = (Option<(PathBuf, Snapshot)>, Vec<Damaged>);

/// A checkpoint that cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[error("passed over checkpoint {}: {reason}", path.display())]
pub struct Damaged {
    /// Its folder. It is left as it is.
    pub path: PathBuf,
    /// Why not, naming the file.
    pub reason: Error,
}

impl Store {
    /// The checkpoints in `folder`, which need not exist yet; its parent must when something is saved.
    pub fn new(folder: impl Into<PathBuf>, config: &Config) -> Self {
        // The newest is always kept, also where nobody has checked the configuration.
        let keep_last = usize::try_from(config.keep_last).unwrap_or(usize::MAX).max(1);
        let Config { keep_every, keep_best, best, mode, .. } = config.clone();
        let (folder, known, permit) = (folder.into(), Known::default(), Permit::default());
        Self { folder, keep_last, keep_every, keep_best, best, permit, mode, known }
    }

    /// Changes nothing without this permit.
    #[must_use]
    pub fn permitted(self, permit: &Permit) -> Self {
        Self { permit: permit.clone(), ..self }
    }

    /// Keeps all checkpoints, whatever the configuration says: for a save that must cost no other one.
    #[must_use]
    pub fn keeping_all(self) -> Self {
        Self { keep_last: usize::MAX, ..self }
    }

    /// Publishes `snapshot` as `step-NNNNNNNNNN` and gives the path. On an error, what was published before is as it
    /// was. A `model`, `optimizer` or `average` with NaN or infinity is refused.
    ///
    /// A step that is there already is left alone where it is valid and holds the same; else it is replaced.
    ///
    /// Afterwards outdated checkpoints are removed: all but the newest `keep_last`, the best, those of every
    /// `keep_every` epochs, this one, and damaged ones. One that cannot be removed is a warning in the log: nothing is
    /// lost by it, and the next save tries again.
    pub fn save(&self, snapshot: &Snapshot) -> Result<PathBuf, Error> {
        let path = self.write(snapshot)?;
        self.tidy(&path);
        Ok(path)
    }

    /// The first half of [`Store::save`]: `snapshot` is published, and nothing is removed yet.
    pub(crate) fn write(&self, snapshot: &Snapshot) -> Result<PathBuf, Error> {
        let step = snapshot.progress.step;
        self.permit.ask()?;
        self.create_folder()?;
        self.clean()?;
        let partial = self.folder.join(hidden(step, "partial"));
        let published = write(snapshot, &partial).and_then(|manifest| {
            let path = self.publish(step, &partial, &manifest)?;
            self.remember(&path, &manifest);
            Ok(path)
        });
        if published.is_err() {
            // In a folder that was put in this one's place it would be another run's; and that is the reason, then.
            self.permit.ask()?;
            // Best effort, so that a full disk is not kept full; the next save removes it anyway.
            files::remove(&partial).ok();
        }
        published
    }

    /// The folders of the published checkpoints, oldest first, valid or not.
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

    /// The newest valid checkpoint.
    pub fn newest(&self) -> Result<Found, Error> {
        Ok(first_valid(self.list()?.into_iter().rev(), Vec::new()))
    }

    /// The valid checkpoint with the best score; of equal ones the earliest. None where none has the score.
    pub fn best(&self) -> Result<Found, Error> {
        let mut damaged = Vec::new();
        let mut scored = Vec::new();
        for path in self.list()? {
            match Manifest::read(&path) {
                Ok(manifest) => scored.extend(manifest.score(&self.best).map(|score| (path, score))),
                Err(reason) => damaged.push(Damaged { path, reason }),
            }
        }
        // The sort is stable, and the list has the earliest first.
        scored.sort_by(|(_, a), (_, b)| self.order(*a, *b));
        Ok(first_valid(scored.into_iter().map(|(path, _)| path), damaged))
    }

    /// The better score first.
    pub(crate) fn order(&self, a: f64, b: f64) -> Ordering {
        self.mode.prefers(b, a).cmp(&self.mode.prefers(a, b))
    }

    /// Makes the folder, but never its parent: where a person removed a run, none comes into being again.
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

    /// Removes what a killed run left behind, and brings back what it was about to replace.
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
        self.permit.ask()?;
        if !path.exists() {
            files::rename(partial, &path)?;
            files::sync_folder(&self.folder)?;
            return Ok(path);
        }
        if verify(&path).is_ok_and(|(old, _)| old.same_content(manifest)) {
            // The checkpoint is there: what is left of the new one costs space until the next save, and nothing else.
            files::remove(partial).ok();
            return Ok(path);
        }
        let replaced = self.folder.join(hidden(step, "replaced"));
        self.permit.ask()?;
        files::rename(&path, &replaced)?;
        files::rename(partial, &path).inspect_err(|_| {
            // Without it the old one is still found under its other name.
            fs::rename(&replaced, &path).ok();
        })?;
        files::sync_folder(&self.folder)?;
        // It stands in for nothing any more, so a failure only costs space until the next save.
        files::remove(&replaced).ok();
        Ok(path)
    }
}

/// Writes a whole checkpoint into `folder`, down to the disk.
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

fn name(step: u64) -> String {
    format!("step-{step:010}")
}

pub(crate) fn hidden(step: u64, state: &str) -> String {
    format!(".{}.{state}", name(step))
}

/// The step of a checkpoint's folder, whatever its state; None where the name says nothing of a step.
pub fn step_of(folder: &Path) -> Option<u64> {
    parse(folder).map(|(step, _)| step)
}

/// `step-N` is (N, None), and `.step-N.state` is (N, Some(state)).
fn parse(path: &Path) -> Option<(u64, Option<&str>)> {
    let file = path.file_name()?.to_str()?;
    let (visible, state) = match file.strip_prefix('.') {
        Some(rest) => rest.split_once('.').map(|(name, state)| (name, Some(state)))?,
        None => (file, None),
    };
    let step = visible.strip_prefix("step-")?.parse().ok()?;
    let known = matches!(state, None | Some("partial" | "replaced" | "removed"));
    (known && visible == name(step)).then_some((step, state))
}
