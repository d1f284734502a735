//! Accessors of a session for its caller, and its writes into the log.

use super::Session;
use crate::error::Result;
use crate::folder::Folder;
use crate::lock::Lock;
use contract::Scores;
use summary::Summary;

impl Session<'_> {
    /// Writes into the log. Under `on_error: continue` a full disk is no error: what is not for TensorBoard alone waits
    /// in memory.
    ///
    /// # Errors
    ///
    /// Fails if the log cannot be written.
    pub fn write(&mut self, write: impl FnOnce(&mut Summary) -> std::result::Result<(), summary::Error>) -> Result<()> {
        self.journal.notes.write(write)
    }

    /// Asks for the run to be started again, by the file `requeue` in its folder, which holds the command; the next
    /// session removes it. A session that a signal stops asks by itself. Call it before the program ends for a reason
    /// of its own that will pass, such as the loss of a machine.
    pub fn requeue(&self) {
        let Some(lock) = &self.lock else { return };
        let (path, command) = (self.folder.requeue(), self.to_go_on(self.folder.path()));
        let written = lock.check().map_err(|gone| gone.to_string()).and_then(|()| {
            regular::publish(&path, format!("{command}\n").as_bytes()).map_err(|error| error.to_string())
        });
        if let Err(error) = written {
            log::warn!("Nothing asks for the run to be started again, since {} is missing: {error}", path.display());
        }
    }

    /// Returns the log; None on a rank that does not write.
    pub fn summary(&self) -> Option<&Summary> {
        self.journal.notes.summary()
    }

    /// Returns true if somebody at the dashboard asked for a validation after the last step.
    pub fn is_asked_to_validate(&self) -> bool {
        self.asked.validate
    }

    /// Returns the scores of the last complete validation.
    pub fn validation(&self) -> &Scores {
        &self.validation
    }

    /// Returns the folder of the run.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Returns true if this process writes: the first of several ranks, or the only one.
    pub fn writes(&self) -> bool {
        self.lockstep.writes()
    }

    /// Returns the lock on the folder; None on a rank that does not write.
    pub fn lock(&self) -> Option<&Lock> {
        self.lock.as_deref()
    }

    pub(super) fn check_lock(&self) -> Result<()> {
        Ok(self.lock.as_ref().map_or(Ok(()), |lock| lock.check())?)
    }
}
