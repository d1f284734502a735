//! Locks a run folder for one process: two that write one run would spoil it for both.

use crate::error::{Error, Gone, Result};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

const NAME: &str = "lock";
/// Longer than another process takes to look at a lock.
const GLANCE: Duration = Duration::from_millis(50);

/// Exclusive right to write into a run folder. The system itself takes it back when the process ends, however it ends,
/// so a lock is never stale.
#[derive(Debug)]
pub struct Lock {
    folder: PathBuf,
    file: File,
}

impl Lock {
    /// Takes the lock of `folder`, which must exist.
    ///
    /// # Errors
    ///
    /// Fails if another process holds it, and names that process.
    pub fn take(folder: &Path) -> Result<Self> {
        let path = folder.join(NAME);
        let failed = |error| Error::io("locking", &path)(error);
        let mut options = OpenOptions::new();
        let opened = options.read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = opened.and_then(regular::checked).map_err(failed)?;
        let mut locked = file.try_lock();
        if let Err(TryLockError::WouldBlock) = locked {
            // Another process may just have looked at the lock; see `is_held`.
            sleep(GLANCE);
            locked = file.try_lock();
        }
        match locked {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder).ok();
                let since =
                    fs::metadata(&path).and_then(|about| about.modified()).ok().and_then(|at| at.elapsed().ok());
                let holder = if holder.is_empty() { "another process" } else { holder.trim() };
                let holder = format!("{holder}{}", since.map(ago).unwrap_or_default());
                return Err(Error::Held { folder: folder.into(), holder });
            }
            Err(TryLockError::Error(error)) => {
                // Some network file systems have no locks. Training on them must still be possible.
                log::warn!("{}: no lock ({error}): make sure that no two processes train here", path.display());
            }
        }
        let holder = format!("process {} on {}\n", std::process::id(), gethostname::gethostname().display());
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(holder.as_bytes()))
            .map_err(failed)?;
        let lock = Self { folder: folder.into(), file };
        lock.check()?;
        Ok(lock)
    }

    /// Fails if the folder's path no longer leads to the locked folder. The open lock file stays the same as long as
    /// this process lives, whatever else comes to have its name.
    pub fn check(&self) -> std::result::Result<(), Gone> {
        let there = match fs::metadata(self.folder.join(NAME)) {
            Err(error) if [ErrorKind::NotFound, ErrorKind::NotADirectory].contains(&error.kind()) => None,
            // Unknown. Nothing can be written then either, and the attempt says why.
            Err(_) => return Ok(()),
            Ok(there) => Some(there),
        };
        match (there, self.file.metadata()) {
            (Some(there), Ok(own)) if !regular::same(&there, &own) => Err(self.gone()),
            (None, _) => Err(self.gone()),
            _ => Ok(()),
        }
    }

    fn gone(&self) -> Gone {
        Gone { folder: self.folder.clone(), moved: self.moved(), replaced: self.folder.symlink_metadata().is_ok() }
    }

    /// Returns the current path of the locked folder.
    #[cfg(target_os = "linux")]
    fn moved(&self) -> Option<PathBuf> {
        use std::os::fd::AsRawFd;
        let lock = fs::read_link(format!("/proc/self/fd/{}", self.file.as_raw_fd())).ok()?;
        // A path that ends in " (deleted)" is none.
        let found = regular::same(&fs::metadata(&lock).ok()?, &self.file.metadata().ok()?);
        lock.parent().filter(|_| found).map(PathBuf::from)
    }

    /// Returns None: on other systems an open file does not know its path.
    #[cfg(not(target_os = "linux"))]
    fn moved(&self) -> Option<PathBuf> {
        None
    }
}

/// Returns whether a living process holds the run's lock. Opens the file for reading, takes a shared lock and releases
/// it at once: nothing is written, and two that look at the same time do not see each other.
pub fn is_held(folder: &Path) -> bool {
    let file = regular::open(&folder.join(NAME));
    file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn ago(time: Duration) -> String {
    let minutes = time.as_secs() / 60;
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!(", for {} s", time.as_secs()),
        (0, minutes) => format!(", for {minutes} min"),
        (hours, minutes) => format!(", for {hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_refused_with_the_first_ones_identity_until_that_lets_go() {
        let folder = tempfile::tempdir().unwrap();
        let first = Lock::take(folder.path()).unwrap();
        let error = Lock::take(folder.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("is being trained by process {} on ", std::process::id())), "{error}");
        assert!(error.contains(", for 0 s: wait"), "{error}");
        drop(first);
        Lock::take(folder.path()).unwrap();
    }

    #[test]
    fn a_folder_that_was_moved_removed_or_replaced_is_noticed() {
        let root = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(root.path()).unwrap();
        let (run, moved) = (root.join("run"), root.join("moved"));
        fs::create_dir(&run).unwrap();
        let lock = Lock::take(&run).unwrap();
        lock.check().unwrap();
        let said = || lock.check().unwrap_err().to_string();
        fs::rename(&run, &moved).unwrap();
        if cfg!(target_os = "linux") {
            assert!(said().ends_with(&format!("was moved to {} meanwhile", moved.display())), "{}", said());
            assert_eq!(lock.check().unwrap_err().moved(), Some(&*moved));
        }
        // Another run in its place.
        fs::create_dir(&run).unwrap();
        let other = Lock::take(&run).unwrap();
        assert!(lock.check().is_err() && said().contains("left alone"), "{}", said());
        other.check().unwrap();
        // A link to another folder is noticed; one to the same folder is fine.
        fs::remove_dir_all(&run).unwrap();
        #[cfg(unix)]
        {
            fs::create_dir(root.join("other")).unwrap();
            std::os::unix::fs::symlink(root.join("other"), &run).unwrap();
            assert!(lock.check().is_err());
            fs::remove_file(&run).unwrap();
            std::os::unix::fs::symlink(&moved, &run).unwrap();
            lock.check().unwrap();
            fs::remove_file(&run).unwrap();
        }
        fs::rename(&moved, &run).unwrap();
        lock.check().unwrap();
        fs::remove_file(run.join(NAME)).unwrap();
        assert!(said().contains("or its lock"), "{}", said());
        fs::remove_dir_all(&run).unwrap();
        assert!(said().ends_with("was removed meanwhile"), "{}", said());
        fs::write(&run, "").unwrap();
        assert!(lock.check().is_err(), "a file in its place");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_no_regular_file_is_no_lock() {
        let folder = tempfile::tempdir().unwrap();
        let status = std::process::Command::new("mkfifo").arg(folder.path().join(NAME)).status().unwrap();
        assert!(status.success());
        let error = format!("{}", Lock::take(folder.path()).unwrap_err());
        assert!(error.ends_with("it is a pipe, socket or device, and only regular files are read"), "{error}");
    }

    #[test]
    fn times_are_readable() {
        let shown = [59, 60, 3599, 3600, 90_000].map(|seconds| ago(Duration::from_secs(seconds)));
        assert_eq!(shown, [", for 59 s", ", for 1 min", ", for 59 min", ", for 1 h 0 min", ", for 25 h 0 min"]);
    }
}
