//! Starting point of a run: its folder, the lock on it, and the checkpoint to resume from.

use crate::error::{Error, Result};
use crate::folder::{Folder, valid};
use crate::lock::Lock;
use crate::shared;
use crate::states::{GENERATOR, RECOVERY, lacks_metrics, of_rank};
use crate::stopping::STOPPING;
use checkpoint::{Config, Snapshot};
use contract::{Progress, Ranks, StateDict};
use executors::Trainer;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Checkpoint that a run resumes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Resume {
    /// The newest valid one of its folder, if there is any.
    #[default]
    Newest,
    /// None: the run starts over, and the old one is moved aside.
    Never,
    /// This one; later ones of the folder are renamed.
    From(PathBuf),
}

/// A run folder that was examined and locked, and not changed yet.
pub struct Opened {
    folder: Folder,
    lock: Option<Arc<Lock>>,
    resume: Resume,
    checkpoint: Option<(PathBuf, Snapshot)>,
    from: Progress,
    restored: Option<BTreeMap<String, StateDict>>,
}

impl Opened {
    /// Locks the run folder at `path`, if it exists, and finds its newest checkpoint.
    ///
    /// # Errors
    ///
    /// Fails if another process trains there, or if none of its checkpoints is valid.
    pub fn open(path: &Path) -> Result<Self> {
        let mut opened = Self::lock(Folder::at(path))?;
        opened.find(Resume::Newest)?;
        Ok(opened)
    }

    /// Opens on all ranks what `open` opens on the first. The others lock nothing and read no file: the first sends
    /// them the checkpoint, so that their machines need not share its disk. One process just calls `open`.
    ///
    /// # Errors
    ///
    /// Fails on all ranks if `open` does, or if a rank is lost.
    pub fn across<E: From<Error> + Display>(
        ranks: &dyn Ranks,
        open: impl FnOnce() -> std::result::Result<Self, E>,
    ) -> std::result::Result<Self, E> {
        let mut own = shared::on_first(ranks, open)?;
        let folder = own.as_ref().map(|own| own.folder.path().display().to_string()).unwrap_or_default();
        let folder = shared::from_first(ranks, || Ok::<_, Error>(folder))?;
        let checkpoint = own.as_mut().and_then(|own| own.checkpoint.take());
        let checkpoint = shared::snapshot(ranks, checkpoint)?;
        let mut opened = own.unwrap_or_else(|| Self::unlocked(Folder::at(Path::new(&folder))));
        opened.resume_with(opened.resume.clone(), checkpoint);
        Ok(opened)
    }

    /// Locks `folder`, if it exists.
    ///
    /// # Errors
    ///
    /// Fails if another process trains there.
    pub fn lock(folder: Folder) -> Result<Self> {
        let lock = if folder.exists()? { Some(Arc::new(Lock::take(folder.path())?)) } else { None };
        Ok(Self { lock, ..Self::unlocked(folder) })
    }

    /// Returns the same for another folder, as a rank on another machine has it.
    #[cfg(test)]
    pub fn with_folder(self, folder: Folder) -> Self {
        Self { folder, ..self }
    }

    fn unlocked(folder: Folder) -> Self {
        let (resume, from) = (Resume::Newest, Progress::default());
        Self { folder, lock: None, resume, checkpoint: None, from, restored: None }
    }

    /// Loads the checkpoint to resume from.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be read, or if none of the folder's is valid.
    pub fn find(&mut self, resume: Resume) -> Result<()> {
        let found = match &resume {
            Resume::Newest => valid(self.folder.store(&Config::default()).newest()?)?,
            Resume::Never => None,
            Resume::From(path) => Some((path.clone(), checkpoint::load(path)?)),
        };
        self.resume_with(resume, found);
        Ok(())
    }

    /// Removes the file that asks for the run to be started again, if it is there: call it where the run turns out to
    /// be finished. [`Session::begin`](crate::Session::begin) does it too.
    ///
    /// # Errors
    ///
    /// Fails if the system does.
    pub fn forget_requeue(&self) -> Result<()> {
        self.folder.forget_requeue()
    }

    /// Takes a checkpoint that was loaded already.
    pub fn resume_with(&mut self, resume: Resume, checkpoint: Option<(PathBuf, Snapshot)>) {
        self.from = checkpoint.as_ref().map(|(_, snapshot)| snapshot.progress).unwrap_or_default();
        (self.resume, self.checkpoint) = (resume, checkpoint);
    }

    /// Returns the folder.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Returns the lock, if the folder exists.
    pub fn held(&self) -> Option<&Arc<Lock>> {
        self.lock.as_ref()
    }

    /// Returns the checkpoint to resume from, until it is restored.
    pub fn checkpoint(&self) -> Option<&(PathBuf, Snapshot)> {
        self.checkpoint.as_ref()
    }

    /// Returns the progress that the run resumes from.
    pub fn progress(&self) -> Progress {
        self.from
    }

    /// Restores the trainer's parts from the checkpoint, whole or not at all, and releases its memory. Without a
    /// checkpoint nothing happens. [`Session::begin`](crate::Session::begin) does it too, if it was not done before.
    ///
    /// # Errors
    ///
    /// Fails, and changes nothing, if a state is missing or does not fit.
    pub fn restore(&mut self, trainer: &mut Trainer) -> Result<()> {
        self.restore_rank(trainer, (0, 1))
    }

    /// Restores the parts of a trainer at this place: a rank, and the number of ranks.
    pub(crate) fn restore_rank(&mut self, trainer: &mut Trainer, place: (usize, usize)) -> Result<()> {
        let Some((path, mut snapshot)) = self.checkpoint.take() else { return Ok(()) };
        let lacking = lacks_metrics(&snapshot.states).filter(|_| place.0 == 0 && self.from.batch > 0);
        let states = &mut snapshot.states;
        if let Err(cause) = of_rank(states, trainer.metric, place).and_then(|()| trainer.restore(states)) {
            return Err(Error::Restore { path, cause: Box::new(cause) });
        }
        if let Some(ranks) = lacking {
            log::warn!(
                "{} was saved after one of {ranks} ranks had failed, so the training scores of epoch {} leave out what \
                 the other ranks saw of it until step {}. What was learnt is complete",
                path.display(),
                self.from.epoch + 1,
                self.from.step
            );
        }
        let epochs = trainer.epochs;
        log::info!("Continuing from {} ({} of {epochs} epochs done)", path.display(), self.from.epoch);
        let own = |(name, _): &(String, StateDict)| [GENERATOR, RECOVERY, STOPPING].contains(&name.as_str());
        self.restored = Some(snapshot.states.into_iter().filter(own).collect());
        Ok(())
    }

    /// Returns the session's own states of the checkpoint that was restored.
    pub(crate) fn own_states(&mut self) -> BTreeMap<String, StateDict> {
        self.restored.take().unwrap_or_default()
    }

    /// Makes the folder ready: moves an old run that is not resumed aside, and checkpoints later than the one to resume
    /// from. The lock is held as long as it lives.
    ///
    /// # Errors
    ///
    /// Fails if the system does, or if another process made the folder meanwhile.
    pub fn enter(&mut self) -> Result<Arc<Lock>> {
        if let Some(lock) = &self.lock {
            lock.check()?;
        }
        match self.resume {
            Resume::Never if self.folder.has_begun() => {
                self.folder.move_aside()?;
                // The old lock moved along.
                self.lock = None;
            }
            Resume::From(_) => self.folder.supersede_after(self.from.step)?,
            _ => {}
        }
        if let Some(lock) = &self.lock {
            return Ok(Arc::clone(lock));
        }
        self.folder.create()?;
        let lock = Arc::new(Lock::take(self.folder.path())?);
        if self.folder.has_begun() {
            let folder = self.folder.path().display();
            return Err(Error::Folder(format!("{folder} was made by another process meanwhile")));
        }
        self.lock = Some(Arc::clone(&lock));
        Ok(lock)
    }
}
