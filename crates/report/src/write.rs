//! Atomic writing of a file.

use crate::Error;
use std::path::Path;

/// Writes to a temporary file with an unpredictable name, so that no one can place a link there; flushes it to the
/// disk, then renames it. Removes the temporary file if that fails.
pub(crate) fn whole(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    regular::publish(path, bytes).map_err(|failed| Error::io(failed.doing, &failed.path)(failed.source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_takes_the_place_of_the_one_before_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.html");
        whole(&path, b"old").unwrap();
        whole(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn nothing_is_written_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("victim"), "mine").unwrap();
        for planted in ["report.html", "report.html.partial"] {
            std::os::unix::fs::symlink(path("victim"), path(planted)).unwrap();
        }
        whole(&path("report.html"), b"page").unwrap();
        assert_eq!(
            (fs::read(path("victim")).unwrap(), fs::read(path("report.html")).unwrap()),
            (b"mine".into(), b"page".into())
        );
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
        assert!(
            whole(Path::new("/nowhere/report.html"), b"")
                .unwrap_err()
                .to_string()
                .contains("create a file in /nowhere")
        );
    }
}
