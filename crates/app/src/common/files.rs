//! Writes files that exist whole or not at all, and do not replace what they should not.

use crate::common::seal::is_ours;
use crate::common::usage::usage;
use anyhow::{Context, Result};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tempfile::{Builder, NamedTempFile};

/// Prefix and suffix of the names of partial files. They are hidden, so that nobody takes them for images.
const PARTIAL: [&str; 2] = [".oxiseg-", ".partial"];

/// Age from which a partial file that no process holds counts as left over.
pub const LEFT_OVER: Duration = Duration::from_secs(60);

/// Writes `bytes` to a temporary file next to `path`, flushes it to disk and renames it to `path`, replacing what is
/// there.
pub fn publish(path: &Path, bytes: &[u8]) -> Result<()> {
    let published = regular::publish(path, bytes).map_err(|failed| failed.source);
    published.with_context(|| format!("writing {}", path.display()))
}

/// Selects the existing files that may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// Those that this program made and nobody changed.
    Ours,
    /// All, since the user said so.
    All,
}

impl Replace {
    /// Returns the choice for the flag `--overwrite`.
    pub fn with(overwrite: bool) -> Self {
        if overwrite { Self::All } else { Self::Ours }
    }

    /// Returns whether the existing file `path` may be replaced.
    pub fn allows(self, path: &Path) -> bool {
        self == Self::All || is_ours(path)
    }
}

/// A temporary file next to `path` that becomes `path` once it is complete, and is removed if it never is. Its name is
/// unpredictable, so nobody can plant a link there for it to be written through.
///
/// Not `regular::Partial`, since the standard library renames nothing without replacing what is there.
pub struct Partial {
    file: NamedTempFile,
    path: PathBuf,
}

impl Partial {
    /// Creates an empty file.
    pub fn create(path: &Path) -> Result<Self> {
        let mut builder = Builder::new();
        builder.prefix(PARTIAL[0]).suffix(PARTIAL[1]);
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(folder(path)).with_context(|| format!("writing {}", path.display()))?;
        // The lock tells others that the file is in use; where there are no locks, its age does.
        let _ = file.as_file().try_lock();
        Ok(Self { file, path: path.into() })
    }

    /// Creates a file with these bytes in it.
    pub fn of(path: &Path, bytes: &[u8]) -> Result<Self> {
        let mut partial = Self::create(path)?;
        partial.file.write_all(bytes).with_context(|| partial.doing())?;
        Ok(partial)
    }

    /// Returns a handle to write and read the file.
    pub fn file(&self) -> Result<File> {
        self.file.as_file().try_clone().with_context(|| self.doing())
    }

    /// Returns the context for an error.
    pub fn doing(&self) -> String {
        format!("writing {}", self.path.display())
    }

    /// Returns the final path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Flushes the file to disk and renames it to its final path, replacing what is there.
    pub fn publish(self) -> Result<()> {
        let doing = self.doing();
        self.file.as_file().sync_all().with_context(|| doing.clone())?;
        self.file.persist(&self.path).map(drop).map_err(|error| error.error).context(doing)
    }

    /// Fails if the final path exists and `replace` does not allow replacing it.
    pub fn check(&self, replace: Replace) -> Result<()> {
        if fs::symlink_metadata(&self.path).is_ok() && !replace.allows(&self.path) {
            let path = self.path.display();
            return Err(usage(format!("{path} was made or changed by somebody else meanwhile: it is left as it is")));
        }
        Ok(())
    }

    /// Publishes the file. Replaces what is at its path, which must have been [checked](Self::check); if the path is
    /// free, a file that is created there meanwhile stays.
    pub fn place(self) -> Result<()> {
        if fs::symlink_metadata(&self.path).is_ok() {
            return self.publish();
        }
        let doing = self.doing();
        self.file.as_file().sync_all().with_context(|| doing.clone())?;
        self.file.persist_noclobber(&self.path).map(drop).map_err(|error| error.error).context(doing)
    }
}

/// Removes the partial files that killed processes left in `folder` at least `age` ago.
pub fn clean(folder: &Path, age: Duration) {
    let left = |path: &Path| {
        let about = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file)?;
        let found = SystemTime::now().duration_since(about.modified().ok()?).ok()?;
        (found >= age && File::open(path).ok()?.try_lock().is_ok()).then_some(())
    };
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(PARTIAL[0]) && name.ends_with(PARTIAL[1]) && left(&entry.path()).is_some() {
            // A failure is harmless: the file is in nobody's way.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Returns the folder of a file.
pub fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_through_a_link_and_what_is_replaced_is_allowed() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("victim"), "mine").unwrap();
        for planted in ["a.txt", "a.txt.partial", ".a.txt.partial"] {
            std::os::unix::fs::symlink(path("victim"), path(planted)).unwrap();
        }
        publish(&path("a.txt"), b"new").unwrap();
        assert_eq!(
            (fs::read(path("victim")).unwrap(), fs::read(path("a.txt")).unwrap()),
            (b"mine".into(), b"new".into())
        );
        assert!(!path("a.txt").is_symlink());
        let place = |name: &str, replace| {
            let partial = Partial::of(&path(name), b"newer").unwrap();
            partial.check(replace).and_then(|()| partial.place())
        };
        let error = place("victim", Replace::Ours).unwrap_err().to_string();
        assert!(error.contains("victim was made or changed by somebody else"), "{error}");
        assert_eq!(fs::read(path("victim")).unwrap(), b"mine");
        place("victim", Replace::All).unwrap();
        place("fresh", Replace::Ours).unwrap();
        assert_eq!(fs::read(path("victim")).unwrap(), fs::read(path("fresh")).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 5);
    }

    #[test]
    fn what_a_killed_process_left_half_made_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let being_written = Partial::create(&path("a.png")).unwrap();
        let old = SystemTime::now() - Duration::from_secs(3600);
        being_written.file().unwrap().set_modified(old).unwrap();
        for name in [".oxiseg-old.partial", ".oxiseg-new.partial", "a.partial"] {
            let file = File::create(path(name)).unwrap();
            if name != ".oxiseg-new.partial" {
                file.set_modified(old).unwrap();
            }
        }
        clean(folder.path(), LEFT_OVER);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
        assert!(!path(".oxiseg-old.partial").exists());
        being_written.publish().unwrap();
    }
}
