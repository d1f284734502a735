//! Lists the files of a folder, by one rule for training and prediction.

use crate::error::Error;
use std::path::{Path, PathBuf};
use walkdir::{DirEntry, WalkDir};

/// Walks the files in `folder` and its subfolders, in the order of their names, byte by byte. Follows links, except
/// those to a folder that contains them. Skips hidden files and folders (names that begin with a dot) and those that
/// systems and archives leave behind (`Thumbs.db`, `__MACOSX`, `@eaDir`); `folder` itself may be hidden. Opens only
/// folders, so pipes and devices are included.
///
/// # Errors
///
/// [`Error::Io`] for each folder or link that cannot be followed; the walk goes on after it.
pub fn walk(folder: &Path) -> impl Iterator<Item = Result<PathBuf, Error>> + use<> {
    let top = folder.to_path_buf();
    let entries = WalkDir::new(folder).follow_links(true).sort_by_file_name().into_iter();
    let entries = entries.filter_entry(|entry| entry.depth() == 0 || !is_stray(entry) && !is_loop(entry));
    entries.filter_map(move |entry| match entry {
        Ok(entry) if entry.file_type().is_dir() => None,
        Ok(entry) => Some(Ok(entry.into_path())),
        // Two links that lead to each other.
        Err(error) if error.loop_ancestor().is_some() => None,
        Err(error) => {
            let path = error.path().map_or_else(|| top.clone(), PathBuf::from);
            Some(Err(Error::Io { path, source: error.into() }))
        }
    })
}

/// Returns whether the entry is a link to a folder that contains it, whose files are found anyway.
fn is_loop(entry: &DirEntry) -> bool {
    entry.path_is_symlink() && entry.file_type().is_dir() && {
        let real = |path: &Path| path.canonicalize().ok();
        let (target, within) = (real(entry.path()), entry.path().parent().and_then(real));
        matches!((target, within), (Some(target), Some(within)) if within.starts_with(&target))
    }
}

/// Names that systems and archives leave behind, hidden files aside: thumbnails of Windows and Synology, resource
/// forks, bins.
const STRAYS: [&str; 7] =
    ["Thumbs.db", "desktop.ini", "__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"];

/// Returns whether the entry is hidden or left behind by a system or archive.
fn is_stray(entry: &DirEntry) -> bool {
    let name = entry.file_name();
    name.as_encoded_bytes().starts_with(b".") || STRAYS.iter().any(|stray| name.eq_ignore_ascii_case(stray))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_walk_passes_over_hidden_files_and_follows_links_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let (top, elsewhere) = (folder.path().join("top"), folder.path().join("elsewhere"));
        for name in ["b/c", ".thumbnails", "__MACOSX", "@eaDir"] {
            fs::create_dir_all(top.join(name)).unwrap();
        }
        fs::create_dir(&elsewhere).unwrap();
        let odd = OsStr::from_bytes(b"caf\xe9.png");
        for name in
            ["b/c/x", "b/a.png", ".thumbnails/s.png", "__MACOSX/m.png", "@eaDir/t.jpg", ".h.png", "thumbs.db", "z"]
        {
            fs::write(top.join(name), "").unwrap();
        }
        fs::write(top.join(odd), "").unwrap();
        fs::write(elsewhere.join("linked"), "").unwrap();
        symlink(&elsewhere, top.join("b/link")).unwrap();
        symlink(&top, top.join("b/loop")).unwrap();
        symlink(folder.path(), top.join("b/above")).unwrap();
        symlink(&top, elsewhere.join("back")).unwrap();
        symlink("nowhere", top.join("gone.png")).unwrap();
        let (found, errors): (Vec<_>, Vec<_>) = walk(&top).partition(Result::is_ok);
        let found: Vec<PathBuf> = found.into_iter().map(Result::unwrap).collect();
        let expected = ["b/a.png".as_ref(), "b/c/x".as_ref(), "b/link/linked".as_ref(), odd, "z".as_ref()];
        assert_eq!(found, expected.map(|name: &OsStr| top.join(name)));
        let errors: Vec<String> = errors.into_iter().map(|error| error.unwrap_err().to_string()).collect();
        assert!(errors.len() == 1 && errors[0].contains("gone.png"), "{errors:?}");
        // A folder that the caller names is searched, hidden or not.
        assert_eq!(walk(&top.join(".thumbnails")).count(), 1);
    }
}
