//! Folder of a run: `config.json`, `checkpoints/`, `logs/`, `metrics.jsonl`.

use crate::error::{Error, Result};
use checkpoint::{Config, Found, Snapshot, Store};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Name of the file that asks for the run to be started again.
pub const REQUEUE: &str = "requeue";

/// Folder of a run.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Returns the folder at a path: without `.` and repeated separators, and in full if it ends in no name (`.`,
    /// `..`), since a run is named, moved aside and published by it.
    pub fn at(path: &Path) -> Self {
        let plain: PathBuf = path.components().collect();
        let named = plain.file_name().is_some();
        Self { path: if named { plain } else { fs::canonicalize(&plain).unwrap_or(plain) } }
    }

    /// Returns its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of the log of scalars.
    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    /// Returns the path of the file that is there while the run waits to go on, since a signal stopped it.
    pub fn requeue(&self) -> PathBuf {
        self.path.join(REQUEUE)
    }

    /// Removes the file that asks for the run to be started again, if it is there.
    pub(crate) fn forget_requeue(&self) -> Result<()> {
        let path = self.requeue();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io("removing", &path)(error)),
            _ => Ok(()),
        }
    }

    /// Returns the folder of the checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// Returns the folder of rejected batches, each kept with the weights it met.
    pub fn rejected(&self) -> PathBuf {
        self.path.join("rejected")
    }

    /// Returns the store of the checkpoints.
    pub fn store(&self, config: &Config) -> Store {
        Store::new(self.checkpoints(), config)
    }

    /// Returns true if the folder exists.
    ///
    /// # Errors
    ///
    /// Fails if a file has its place, or if it cannot be examined.
    pub fn exists(&self) -> Result<bool> {
        match fs::metadata(&self.path) {
            Ok(about) if about.is_dir() => Ok(true),
            Ok(_) => Err(Error::Folder(format!(
                "{} is a file, not a run folder; name a folder with --run",
                self.path.display()
            ))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::io("looking for the run folder", &self.path)(error)),
        }
    }

    /// Returns true if training has begun here, even if its configuration was removed since.
    pub fn has_begun(&self) -> bool {
        let has_config = || self.path.join("config.json").try_exists().unwrap_or(true);
        let has_lines = || self.metrics().metadata().is_ok_and(|about| about.len() > 0);
        let has_saved = || self.store(&Config::default()).list().is_ok_and(|all| !all.is_empty());
        has_config() || has_lines() || has_saved()
    }

    /// Creates the folder.
    ///
    /// # Errors
    ///
    /// Fails if the system does.
    pub fn create(&self) -> Result<()> {
        fs::create_dir_all(&self.path).map_err(Error::io("making", &self.path))
    }

    /// Returns true if the checkpoint at `path` is one of this run.
    pub fn holds(&self, path: &Path) -> bool {
        let own = || Some(fs::canonicalize(path).ok()?.parent()? == fs::canonicalize(self.checkpoints()).ok()?);
        own() == Some(true)
    }

    /// Renames the folder to the first free `NAME.1`, `NAME.2`, … If it is a link, renames the folder it leads to,
    /// makes it lead to a new one, and places a link to the old one next to it.
    ///
    /// # Errors
    ///
    /// Fails if the system does.
    pub fn move_aside(&self) -> Result<()> {
        let failed = |error| Error::io("moving aside", &self.path)(error);
        let folder = fs::canonicalize(&self.path).map_err(failed)?;
        let numbered = |path: &Path, n: u64| {
            let mut name = path.as_os_str().to_owned();
            name.push(format!(".{n}"));
            PathBuf::from(name)
        };
        let free = |path: &Path| path.symlink_metadata().is_err();
        let mut n = 1;
        while !free(&numbered(&self.path, n)) || !free(&numbered(&folder, n)) {
            n += 1;
        }
        let is_link = self.path.symlink_metadata().map_err(failed)?.is_symlink();
        let beside = numbered(&self.path, n);
        if !is_link {
            fs::rename(&self.path, &beside).map_err(failed)?;
            log::info!("Moved the old run to {}", beside.display());
            return Ok(());
        }
        let aside = numbered(&folder, n);
        fs::rename(&folder, &aside).map_err(failed)?;
        // Without it the link would lead nowhere, and `create` would fail.
        fs::create_dir(&folder).map_err(failed)?;
        log::info!("Moved the old run to {}; the new one is in {}", aside.display(), folder.display());
        #[cfg(unix)]
        if let Err(error) = std::os::unix::fs::symlink(&aside, &beside) {
            log::warn!("{} could not be made a link to it: {error}", beside.display());
        }
        Ok(())
    }

    /// Renames checkpoints later than `step`, which a run that resumes from there would otherwise return to.
    ///
    /// # Errors
    ///
    /// Fails if the system does.
    pub fn supersede_after(&self, step: u64) -> Result<()> {
        let later = self.store(&Config::default()).list()?;
        for later in later.into_iter().filter(|path| checkpoint::step_of(path) > Some(step)) {
            let name = later.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let to = later.with_file_name(format!("superseded-{name}"));
            if to.exists() {
                fs::remove_dir_all(&to).map_err(Error::io("removing", &to))?;
            }
            fs::rename(&later, &to).map_err(Error::io("renaming", &later))?;
            log::warn!("Renamed the later checkpoint to {}", to.display());
        }
        Ok(())
    }
}

/// Quotes a path for a shell, for commands that a person may copy.
pub fn shell_quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+,:@%=".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// Returns the checkpoint that was found. Damaged ones that were passed over are logged.
///
/// # Errors
///
/// Fails if there is none but damaged ones.
pub fn valid(found: Found) -> Result<Option<(PathBuf, Snapshot)>> {
    let (found, damaged) = found;
    for damaged in &damaged {
        log::warn!("Passed over the damaged checkpoint {}: {}", damaged.path.display(), damaged.reason);
    }
    if found.is_none() && !damaged.is_empty() {
        return Err(Error::NoneValid { count: damaged.len() });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_called_the_same_however_it_is_named() {
        for name in ["runs/x", "runs/x/", "runs//x", "runs/x/.", "runs/./x//"] {
            assert_eq!(Folder::at(Path::new(name)).path, Path::new("runs/x"), "{name}");
        }
        for name in ["../x", "./x", "/runs/x", "runs/my run"] {
            assert_eq!(Folder::at(Path::new(name)).path, Path::new(name));
        }
        let here = fs::canonicalize(".").unwrap();
        assert_eq!(Folder::at(Path::new(".")).path, here);
        assert_eq!(Folder::at(Path::new("src/..")).path, here);
    }

    #[test]
    fn an_old_run_is_moved_to_the_first_free_number() {
        let root = tempfile::tempdir().unwrap();
        let run = Folder::at(&root.path().join("my run/"));
        for n in 1..3 {
            run.create().unwrap();
            fs::write(run.metrics(), n.to_string()).unwrap();
            run.move_aside().unwrap();
            assert!(!run.path.exists());
            let old = root.path().join(format!("my run.{n}/metrics.jsonl"));
            assert_eq!(fs::read_to_string(old).unwrap(), n.to_string());
        }
    }

    #[cfg(unix)]
    #[test]
    fn of_a_link_the_folder_is_moved_and_the_link_leads_to_the_new_one() {
        let root = tempfile::tempdir().unwrap();
        let (disk, runs) = (root.path().join("disk"), root.path().join("runs"));
        fs::create_dir_all(disk.join("x")).unwrap();
        fs::create_dir(&runs).unwrap();
        std::os::unix::fs::symlink(disk.join("x"), runs.join("x")).unwrap();
        let run = Folder::at(&runs.join("x"));
        fs::write(run.metrics(), "old").unwrap();
        run.move_aside().unwrap();
        run.create().unwrap();
        assert!(run.path.is_symlink() && disk.join("x").is_dir() && !run.metrics().exists());
        for old in [disk.join("x.1"), runs.join("x.1")] {
            assert_eq!(fs::read_to_string(old.join("metrics.jsonl")).unwrap(), "old");
        }
    }

    #[test]
    fn a_path_is_quoted_where_a_shell_would_take_it_apart() {
        for (path, expected) in [
            ("runs/x-1_a.b", "runs/x-1_a.b"),
            ("my run", "'my run'"),
            ("it's", r"'it'\''s'"),
            ("$HOME", "'$HOME'"),
            ("", "''"),
        ] {
            assert_eq!(shell_quoted(Path::new(path)), expected);
        }
    }
}
