//! Which checkpoints are kept.

use crate::{
    Error, Store, files,
    manifest::Manifest,
    store::{hidden, step_of},
};
use contract::Progress;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

impl Store {
    /// The second half of a save: removes what is outdated now that `saved` is published.
    pub(crate) fn tidy(&self, saved: &Path) {
        match self.remove_outdated(saved) {
            // Who refuses says so.
            Ok(()) | Err(Error::Refused { .. }) => {}
            Err(error) => log::warn!("an outdated checkpoint is still there: {error}"),
        }
    }

    /// The checkpoints whose manifest is valid and whose files have their sizes, oldest first. Their checksums would
    /// cost a reading of everything, at every save.
    pub(crate) fn intact(&self) -> Result<Vec<(PathBuf, Manifest)>, Error> {
        let mut intact = Vec::new();
        for path in self.list()? {
            if let Ok(manifest) = Manifest::read(&path)
                && manifest.files.iter().all(|(name, record)| files::open_sized(&path.join(name), record).is_ok())
            {
                intact.push((path, manifest));
            }
        }
        Ok(intact)
    }

    /// Removes all checkpoints but those that the configuration keeps, the one just `saved`, and damaged ones: they do
    /// not count among those to keep, and whoever wants to know what happened to them still can.
    fn remove_outdated(&self, saved: &Path) -> Result<(), Error> {
        let intact = self.intact()?;
        let mut keep: BTreeSet<&Path> = intact.iter().rev().take(self.keep_last).map(|(path, _)| &**path).collect();
        keep.insert(saved);
        keep.extend(intact.iter().filter(|(_, manifest)| self.is_for_good(manifest.progress)).map(|(path, _)| &**path));
        if self.keep_best {
            let scored = intact.iter().filter_map(|(path, manifest)| Some((path, manifest.score(&self.best)?)));
            keep.extend(scored.min_by(|(_, a), (_, b)| self.order(*a, *b)).map(|(path, _)| &**path));
        }
        for (path, _) in intact.iter().filter(|(path, _)| !keep.contains(path.as_path())) {
            let Some(step) = step_of(path) else { continue };
            // Renamed first: a removal that is interrupted leaves no damaged checkpoint behind.
            let removed = self.folder.join(hidden(step, "removed"));
            self.permit.ask()?;
            files::rename(path, &removed)?;
            files::remove(&removed)?;
        }
        Ok(())
    }

    /// Whether `keep_every` says so.
    fn is_for_good(&self, Progress { epoch, batch, .. }: Progress) -> bool {
        self.keep_every.is_some_and(|every| batch == 0 && epoch > 0 && epoch.is_multiple_of(every))
    }
}
