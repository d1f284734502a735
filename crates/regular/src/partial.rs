//! Files that exist whole or not at all: written under another name, flushed, renamed.

use std::collections::hash_map::RandomState;
use std::error::Error;
use std::fmt;
use std::fs::{self, File};
use std::hash::BuildHasher;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Kinds of errors of a folder that nobody can flush.
const IMPOSSIBLE: [ErrorKind; 3] = [ErrorKind::InvalidInput, ErrorKind::Unsupported, ErrorKind::PermissionDenied];

/// Number of unpredictable names that are tried. The first is free unless somebody guesses.
const TRIES: u32 = 16;

/// Failed step of writing a file. The file's final path holds what it held before, unless its folder was to be flushed.
#[derive(Debug)]
pub struct Failed {
    /// Operation, as a verb.
    pub doing: &'static str,
    /// File or folder of the operation.
    pub path: PathBuf,
    /// Error of the system.
    pub source: io::Error,
}

impl Failed {
    fn at(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { doing, path: path.into(), source }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "cannot {} {}: {}", self.doing, self.path.display(), self.source)
    }
}

impl Error for Failed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

/// A file that is being written and takes its final path once it is complete. Removed if it is dropped before that, so
/// that nothing is left on a disk that turned out to be full.
///
/// It is created with the permissions of any new file, whatever those of the file that it replaces.
#[derive(Debug)]
pub struct Partial {
    file: File,
    path: PathBuf,
    to: PathBuf,
    /// True if the caller does not know the partial name, so that errors name the final path.
    hidden: bool,
    published: bool,
}

impl Partial {
    /// Creates an empty file next to `path` as `.oxiseg-RANDOM.partial`. Nobody can foresee the name and place a link
    /// there for it to be written through. A lock on the file tells others that it is in use, where there are locks.
    ///
    /// # Errors
    ///
    /// Fails if the system does.
    pub fn beside(path: &Path) -> Result<Self, Failed> {
        let folder = folder(path);
        let mut tries = 0;
        loop {
            // Every `RandomState` has keys of its own, which come from the system.
            let name = format!(".oxiseg-{:016x}.partial", RandomState::new().hash_one(tries));
            tries += 1;
            let partial = folder.join(name);
            match File::create_new(&partial) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists && tries < TRIES => {}
                created => {
                    let file = created.map_err(Failed::at("create a file in", folder))?;
                    let _ = file.try_lock();
                    return Ok(Self { file, path: partial, to: path.into(), hidden: true, published: false });
                }
            }
        }
    }

    /// Creates an empty file at `partial`, which becomes `path` and lies in the same folder. For a caller that alone
    /// writes there: removes a file of that name as what a killed process left.
    ///
    /// # Errors
    ///
    /// Fails if the system does.
    pub fn named(partial: PathBuf, path: &Path) -> Result<Self, Failed> {
        match fs::remove_file(&partial) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(Failed::at("remove", &partial)(error)),
            _ => {}
        }
        // Fails if the path exists, so never writes through a link that somebody placed there.
        let file = File::create_new(&partial).map_err(Failed::at("create", &partial))?;
        Ok(Self { file, path: partial, to: path.into(), hidden: false, published: false })
    }

    /// Returns the open file, to be written.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Returns the path that the file has until it is published.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Flushes the file to the disk, renames it to its final path, replacing what is there, and flushes the folder, so
    /// that the name survives a power loss.
    ///
    /// # Errors
    ///
    /// Fails if the system does.
    pub fn publish(mut self) -> Result<(), Failed> {
        // Before the rename: otherwise a power loss could leave the final path with an empty file.
        self.file.sync_all().map_err(Failed::at("flush", &self.path))?;
        let (doing, named) = if self.hidden { ("rename to", &self.to) } else { ("rename", &self.path) };
        fs::rename(&self.path, &self.to).map_err(Failed::at(doing, named))?;
        self.published = true;
        let folder = folder(&self.to);
        flush_folder(folder).map_err(Failed::at("flush", folder))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.published {
            // The error that led here says more than one about the removal.
            fs::remove_file(&self.path).ok();
        }
    }
}

/// Writes `bytes` to a [`Partial`] file beside `path` and publishes it.
///
/// # Errors
///
/// Fails if the system does; `path` then holds what it held before, unless the failure is that of flushing its folder.
pub fn publish(path: &Path, bytes: &[u8]) -> Result<(), Failed> {
    let partial = Partial::beside(path)?;
    partial.file().write_all(bytes).map_err(Failed::at("write", partial.path()))?;
    partial.publish()
}

/// Flushes `folder`, so that the names in it survive a power loss. Does nothing where that cannot be: only Unix lets a
/// program open a folder, some file systems (of networks, of user space) flush none, and one may be closed to readers.
///
/// # Errors
///
/// Fails if the system does, for example because the disk is full.
pub fn flush_folder(folder: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(error) if IMPOSSIBLE.contains(&error.kind()) => Ok(()),
        flushed => flushed,
    }
}

/// Returns the folder of a file.
fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
pub(crate) mod tests {
    use super::{Failed, Partial, flush_folder, publish};
    use std::io::{ErrorKind, Write};
    use std::ops::Deref;
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::{env, fs, process};

    /// An empty folder of a test, removed at its end.
    pub struct Folder(PathBuf);

    impl Folder {
        pub fn new() -> Self {
            static FOLDERS: AtomicU32 = AtomicU32::new(0);
            let n = FOLDERS.fetch_add(1, Ordering::Relaxed);
            let folder = env::temp_dir().join(format!("regular-{}-{n}", process::id()));
            fs::create_dir(&folder).unwrap();
            Self(folder)
        }

        fn names(&self) -> Vec<String> {
            let names = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let mut names: Vec<_> = names.collect();
            names.sort();
            names
        }
    }

    impl Deref for Folder {
        type Target = Path;

        fn deref(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).ok();
        }
    }

    /// Returns a partial file of either kind for `path`.
    fn both(path: &Path) -> [Partial; 2] {
        [Partial::beside(path).unwrap(), Partial::named(path.with_extension("partial"), path).unwrap()]
    }

    #[test]
    fn a_file_takes_the_place_of_the_one_before_and_leaves_nothing_else() {
        let folder = Folder::new();
        let path = folder.join("file");
        publish(&path, b"old").unwrap();
        publish(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        for partial in both(&path) {
            partial.file().write_all(b"newer").unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"new", "not before it is complete");
            assert_eq!(partial.path().parent(), Some(&*folder));
            partial.publish().unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"newer");
            publish(&path, b"new").unwrap();
        }
        assert_eq!(folder.names(), ["file"]);
    }

    #[test]
    fn what_is_not_completed_is_removed() {
        let folder = Folder::new();
        for partial in both(&folder.join("file")) {
            partial.file().write_all(b"half").unwrap();
            assert_eq!(folder.names().len(), 1 + usize::from(partial.hidden));
        }
        assert_eq!(folder.names(), [""; 0]);
    }

    #[test]
    fn what_a_killed_process_left_under_the_name_is_replaced() {
        let folder = Folder::new();
        fs::write(folder.join("file.partial"), "a longer rest").unwrap();
        let partial = Partial::named(folder.join("file.partial"), &folder.join("file")).unwrap();
        partial.file().write_all(b"whole").unwrap();
        partial.publish().unwrap();
        assert_eq!(fs::read(folder.join("file")).unwrap(), b"whole");
        assert_eq!(folder.names(), ["file"]);
    }

    #[test]
    fn others_see_that_a_file_of_any_name_is_in_use() {
        let folder = Folder::new();
        let partial = Partial::beside(&folder.join("file")).unwrap();
        assert!(fs::File::open(partial.path()).unwrap().try_lock().is_err());
    }

    #[test]
    fn a_failure_names_the_step_and_leaves_all_as_it_was() {
        let folder = Folder::new();
        let path = folder.join("file");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), b"").unwrap();
        let [beside, named] = both(&path);
        let partial = named.path().to_path_buf();
        let Failed { doing, path: at, .. } = beside.publish().unwrap_err();
        assert_eq!((doing, at), ("rename to", path.clone()), "nobody knows the other name");
        let error = named.publish().unwrap_err();
        assert!(error.to_string().starts_with(&format!("cannot rename {}: ", partial.display())), "{error}");
        assert_eq!(folder.names(), ["file"]);
        let failed = publish(Path::new("/nowhere/file"), b"").unwrap_err();
        assert_eq!((failed.doing, &*failed.path), ("create a file in", Path::new("/nowhere")));
        fs::create_dir(&partial).unwrap();
        let failed = Partial::named(partial.clone(), &path).unwrap_err();
        assert_eq!((failed.doing, failed.path), ("remove", partial));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_folder_that_nobody_can_flush_is_no_failure() {
        let refused = fs::File::open("/proc/self").unwrap().sync_all().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
        flush_folder(Path::new("/proc/self")).unwrap();
        assert_eq!(flush_folder(Path::new("/nowhere")).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[cfg(unix)]
    #[test]
    fn nothing_is_written_through_a_link() {
        let folder = Folder::new();
        fs::write(folder.join("victim"), "mine").unwrap();
        for planted in ["file", "file.partial"] {
            std::os::unix::fs::symlink(folder.join("victim"), folder.join(planted)).unwrap();
        }
        let partial = Partial::named(folder.join("file.partial"), &folder.join("file")).unwrap();
        partial.file().write_all(b"new").unwrap();
        assert_eq!(fs::read(folder.join("victim")).unwrap(), b"mine");
        partial.publish().unwrap();
        assert!(!folder.join("file").is_symlink());
        assert_eq!(fs::read(folder.join("victim")).unwrap(), b"mine");
    }

    #[cfg(unix)]
    #[test]
    fn permissions_are_those_of_any_new_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = Folder::new();
        let mode = |name: &str| fs::metadata(folder.join(name)).unwrap().permissions().mode();
        fs::write(folder.join("plain"), "").unwrap();
        fs::write(folder.join("file"), "").unwrap();
        fs::set_permissions(folder.join("file"), PermissionsExt::from_mode(0o600)).unwrap();
        publish(&folder.join("file"), b"").unwrap();
        assert_eq!(mode("file"), mode("plain"));
    }

    /// Folder that the process below writes into.
    const TIGHT: &str = "REGULAR_TIGHT";

    #[cfg(target_os = "linux")]
    #[test]
    fn a_disk_that_takes_no_more_keeps_the_old_file_and_nothing_else() {
        if let Some(folder) = env::var_os(TIGHT) {
            let path = Path::new(&folder).join("file");
            let failed = publish(&path, &[1; 100_000]).unwrap_err();
            assert_eq!(failed.doing, "write");
            return;
        }
        // The same test in a process that may write no file larger than a few blocks, and is not killed by the signal.
        let folder = Folder::new();
        fs::write(folder.join("file"), "old").unwrap();
        let test = "partial::tests::a_disk_that_takes_no_more_keeps_the_old_file_and_nothing_else";
        let mut limited = process::Command::new("sh");
        limited.args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" --exact \"$1\" --nocapture"]);
        let ran = limited.arg(env::current_exe().unwrap()).arg(test).env(TIGHT, &*folder).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success() && said.contains("1 passed"), "{said}");
        assert_eq!(fs::read(folder.join("file")).unwrap(), b"old");
        assert_eq!(folder.names(), ["file"]);
    }
}
