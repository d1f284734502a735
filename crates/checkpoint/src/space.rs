//! Checks the disk's space for what a run will write, before the first step and not after the first epoch.

use crate::{Error, Store, readable};
use std::{
    fmt,
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

/// Space that a run's checkpoints need, and space on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes of one checkpoint.
    pub checkpoint: u64,
    /// Bytes that the disk has left for this user.
    pub free: u64,
    /// Bytes that the run needs at most in addition to its intact checkpoints. More than `free` is a reason to warn.
    pub needed: u64,
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let [checkpoint, free, needed] = [self.checkpoint, self.free, self.needed].map(readable);
        write!(f, "a checkpoint takes {checkpoint}, the run needs {needed} more for them, the disk has {free} left")
    }
}

impl Store {
    /// Prepares the folder before the first step, and compares the free space with that of checkpoints of `bytes`
    /// bytes.
    ///
    /// Creates the folder (but not its parent), removes what a killed run left half written, and writes a small trial
    /// file, flushed to the disk, and removes it.
    ///
    /// Counts the newest `keep_last`, the best, the `for_good` that `keep_every` will have kept at the end, and one
    /// that is being written, but at most the existing ones plus the `saves` that the run will make. Subtracts what
    /// intact checkpoints already take. The best and those for good may be among the newest, so less may do.
    ///
    /// Must not be called while a checkpoint is being written.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the folder cannot be created or written, [`Error::NoRoom`] if not even one checkpoint fits.
    pub fn prepare(&self, bytes: u64, for_good: u64, saves: u64) -> Result<Space, Error> {
        self.permit.ask().map_err(Error::refused)?;
        self.create_folder()?;
        self.clean()?;
        try_to_write(&self.folder.join(".trial"))?;
        let free = fs4::available_space(&self.folder).map_err(Error::io("find the free space of", &self.folder))?;
        if free < bytes {
            return Err(Error::NoRoom { folder: self.folder.clone(), free, needed: bytes });
        }
        let mut intact = self.kept()?;
        intact.retain(|(path, kept)| kept.is_whole(path));
        let held: u64 = intact.iter().map(|(_, kept)| kept.bytes).sum();
        let kept = (self.keep_last as u64).saturating_add(u64::from(self.keep_best)).saturating_add(for_good);
        let count = kept.saturating_add(1).min(saves.saturating_add(intact.len() as u64));
        let needed = count.saturating_mul(bytes).saturating_sub(held);
        Ok(Space { checkpoint: bytes, free, needed })
    }
}

/// Writes a file, flushes it to the disk, and removes it, even after an error.
fn try_to_write(path: &Path) -> Result<(), Error> {
    remove_file(path)?;
    let written = File::create_new(path).and_then(|mut file| {
        // One block of common file systems: an empty file may fit where nothing else does.
        file.write_all(&[0; 4096])?;
        file.sync_all()
    });
    let removed = remove_file(path);
    written.map_err(Error::io("write", path))?;
    removed
}

/// Removes a file if it exists.
fn remove_file(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}
