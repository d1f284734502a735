//! A file that is there whole or not at all.

use crate::Error;
use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};

/// Writes aside, flushes to the disk, then renames. What was written aside is removed if that fails.
pub(crate) fn whole(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = Path::new(&partial);
    let written = (|| {
        let mut file = File::create(partial).map_err(Error::io("create", partial))?;
        file.write_all(bytes).map_err(Error::io("write", partial))?;
        file.sync_all().map_err(Error::io("flush", partial))?;
        fs::rename(partial, path).map_err(Error::io("rename to", path))
    })();
    if written.is_err() {
        // The first error is the one that says what is wrong.
        let _ = fs::remove_file(partial);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_takes_the_place_of_the_one_before_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.html");
        whole(&path, b"old").unwrap();
        whole(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failure_names_the_file_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.html");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), b"").unwrap();
        let error = whole(&path, b"page").unwrap_err().to_string();
        assert!(error.contains("rename to") && error.contains("report.html"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(whole(Path::new("/nowhere/report.html"), b"").unwrap_err().to_string().contains("create /nowhere"));
    }
}
