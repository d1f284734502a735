//! Starting point of a run: its folder, the lock on it, and the checkpoint to resume from.

use crate::error::{Error, Result};
use crate::folder::{Folder, valid};
use crate::lock::Lock;
use crate::states::{GENERATOR, RECOVERY};
use checkpoint::{Config, Snapshot};
use contract::{Progress, StateDict};
use executors::Trainer;
use std::collections::BTreeMap;
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

    /// Locks `folder`, if it exists.
    ///
    /// # Errors
    ///
    /// Fails if another process trains there.
    pub fn lock(folder: Folder) -> Result<Self> {
        let lock = if folder.exists()? { Some(Arc::new(Lock::take(folder.path())?)) } else { None };
        Ok(Self { folder, lock, resume: Resume::Newest, checkpoint: None, from: Progress::default(), restored: None })
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
        let Some((path, snapshot)) = self.checkpoint.take() else { return Ok(()) };
        if let Err(cause) = trainer.restore(&snapshot.states) {
            return Err(Error::Restore { path, cause: Box::new(cause) });
        }
        let epochs = trainer.epochs;
        log::info!("Continuing from {} ({} of {epochs} epochs done)", path.display(), self.from.epoch);
        let own = |(name, _): &(String, StateDict)| [GENERATOR, RECOVERY].contains(&name.as_str());
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
