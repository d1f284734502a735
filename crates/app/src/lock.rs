//! One process a run folder: two that write one run would spoil it for both.

use crate::regular;
use anyhow::{Context, Result, bail};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

const NAME: &str = "lock";
/// Longer than a look at a lock takes.
const GLANCE: Duration = Duration::from_millis(50);

/// The right to write into a run folder. The system itself takes it back when the process ends, however it ends, so a
/// lock is never stale.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of `folder`, which exists. Where another process holds it, the error names that process.
    pub fn take(folder: &Path) -> Result<Self> {
        let path = folder.join(NAME);
        let at = || format!("locking {}", path.display());
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(false).open(&path).with_context(at)?;
        let mut locked = file.try_lock();
        if let Err(TryLockError::WouldBlock) = locked {
            // It may have been somebody who only looked; see `held`.
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
                bail!(
                    "{} is being trained by {}{}: wait for its end, or name another folder with --run",
                    folder.display(),
                    if holder.is_empty() { "another process" } else { holder.trim() },
                    since.map(ago).unwrap_or_default()
                );
            }
            Err(TryLockError::Error(error)) => {
                // Some network file systems have no locks. Training on them must still be possible.
                log::warn!(
                    "{}: no lock ({error}): see to it yourself that no two processes train here",
                    path.display()
                );
            }
        }
        let holder = format!("process {} on {}\n", std::process::id(), gethostname::gethostname().display());
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(holder.as_bytes()))
            .with_context(at)?;
        Ok(Self { _file: file })
    }
}

/// Whether a living process holds the lock of the run. The file is opened for reading and its lock shared, and given back
/// at once: nothing is written, and two that look at the same time do not see each other.
pub fn held(folder: &Path) -> bool {
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
    fn times_are_readable() {
        let shown = [59, 60, 3599, 3600, 90_000].map(|seconds| ago(Duration::from_secs(seconds)));
        assert_eq!(shown, [", for 59 s", ", for 1 min", ", for 59 min", ", for 1 h 0 min", ", for 25 h 0 min"]);
    }
}
