//! Whether the disk can take what a run will write, asked before the first step and not after the first epoch.

use crate::{Error, Store};
use std::{
    fmt,
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

/// What checkpoints of a run will take, and what the disk has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes of one checkpoint.
    pub checkpoint: u64,
    /// Bytes that the disk has left for this user.
    pub free: u64,
    /// Bytes that the run will need at most beyond what its intact checkpoints already take. More than `free` is a
    /// reason to warn.
    pub needed: u64,
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let [checkpoint, free, needed] = [self.checkpoint, self.free, self.needed].map(readable);
        write!(f, "a checkpoint takes {checkpoint}, the run needs {needed} more for them, the disk has {free} left")
    }
}

impl Store {
    /// Before the first step: makes the folder (but not its parent), clears what a killed run left half written, writes
    /// a small trial file into it (flushed to the disk) and removes it, and compares the free space with what
    /// checkpoints of `bytes` bytes will take: the newest `keep_last`, the best, the `for_good` that `keep_every` will
    /// have kept at the end, and one that is being written, but no more than there are and the `saves` that the run
    /// will make at most; less what intact checkpoints already take. The best and those for good may be among the
    /// newest, so less may do.
    ///
    /// Must not be called while a checkpoint is being written.
    ///
    /// Errors: the folder cannot be made or written ([`Error::Io`]), or not even one checkpoint fits
    /// ([`Error::NoRoom`]).
    pub fn prepare(&self, bytes: u64, for_good: u64, saves: u64) -> Result<Room, Error> {
        self.permit.ask()?;
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
        Ok(Room { checkpoint: bytes, free, needed })
    }
}

/// Writes a file down to the disk, and removes it whatever comes of that.
fn try_to_write(path: &Path) -> Result<(), Error> {
    remove_file(path)?;
    let written = File::create_new(path).and_then(|mut file| {
        // As long as the smallest piece that file systems give out: an empty file may fit where nothing else does.
        file.write_all(&[0; 4096])?;
        file.sync_all()
    });
    let removed = remove_file(path);
    written.map_err(Error::io("write", path))?;
    removed
}

/// Removes a file, if it is there.
fn remove_file(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// A number of bytes as a person reads it, in powers of 1000: `370.2 MB`.
pub fn readable(bytes: u64) -> String {
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64;
    let mut unit = "";
    for next in ["kB", "MB", "GB", "TB", "PB", "EB"] {
        // What would be rounded to 1000.0 is 1.0 of the next.
        if !unit.is_empty() && size < 999.95 {
            break;
        }
        (size, unit) = (size / 1e3, next);
    }
    format!("{size:.1} {unit}")
}
