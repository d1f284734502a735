//! Retention of checkpoints.

use crate::{
    Error, Store, files,
    known::Kept,
    names::{hidden, step_of},
};
use contract::Progress;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

impl Store {
    /// Removes the checkpoints that are outdated now that `saved` is published: the second half of a save.
    pub(crate) fn tidy(&self, saved: &Path) {
        match self.remove_outdated(saved) {
            // The permit's owner reports the refusal.
            Ok(()) | Err(Error::Refused { .. }) => {}
            Err(error) => log::warn!("an outdated checkpoint was not removed, the next save tries again: {error}"),
        }
    }

    /// Removes all checkpoints except those that the configuration keeps, the one just `saved`, and damaged ones.
    /// Damaged ones do not count as kept; they stay for inspection.
    ///
    /// Checks only the checkpoints that the decision depends on, and opens none of their files, so those kept for good
    /// cost a save nothing, however many they are. A damaged file of the right size is detected when it is loaded.
    fn remove_outdated(&self, saved: &Path) -> Result<(), Error> {
        let all = self.kept()?;
        let whole = |(path, kept): &&(PathBuf, Kept)| kept.is_whole(path);
        let mut keep: BTreeSet<&Path> = BTreeSet::from([saved]);
        keep.extend(all.iter().rev().filter(whole).take(self.keep_last).map(|(path, _)| &**path));
        keep.extend(all.iter().filter(|(_, kept)| self.is_for_good(kept.progress)).map(|(path, _)| &**path));
        if self.keep_best {
            let mut scored: Vec<_> = all.iter().filter_map(|one| Some((one, one.1.score?))).collect();
            // The sort is stable, so the earliest of equal scores comes first.
            scored.sort_by(|(_, a), (_, b)| self.order(*a, *b));
            keep.extend(scored.iter().map(|(one, _)| *one).find(whole).map(|(path, _)| &**path));
        }
        for (path, _) in all.iter().filter(|(path, _)| !keep.contains(path.as_path())).filter(whole) {
            let Some(step) = step_of(path) else { continue };
            // Renamed first, so that an interrupted removal leaves no damaged checkpoint behind.
            let removed = self.folder.join(hidden(step, "removed"));
            self.permit.ask().map_err(Error::refused)?;
            files::rename(path, &removed)?;
            files::remove(&removed)?;
        }
        Ok(())
    }

    /// Returns true for a checkpoint at the end of a `keep_every`-th epoch.
    fn is_for_good(&self, Progress { epoch, batch, .. }: Progress) -> bool {
        self.keep_every.is_some_and(|every| batch == 0 && epoch > 0 && epoch.is_multiple_of(every))
    }
}
