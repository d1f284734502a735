//! Which files of a folder are images: one rule, for training and for prediction.

use crate::error::Error;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use walkdir::{DirEntry, WalkDir};

/// Extensions of image files that can be read.
const READ: [&str; 10] = ["jpg", "jpeg", "jpe", "jfif", "png", "bmp", "gif", "tif", "tiff", "webp"];

/// Extensions of image files that cannot: somebody who has such a file expects to hear of it.
const UNREAD: [&str; 8] = ["heic", "heif", "avif", "jxl", "jp2", "j2k", "jpf", "jpx"];

/// First bytes of image files, read or not. They are long enough that no text begins with them by chance.
const SIGNATURES: [(usize, &[u8]); 14] = [
    (0, b"\xff\xd8\xff"),
    (0, b"\x89PNG\r\n\x1a\n"),
    (0, b"GIF87a"),
    (0, b"GIF89a"),
    (0, b"II*\0"),
    (0, b"MM\0*"),
    // BigTIFF.
    (0, b"II+\0"),
    (0, b"MM\0+"),
    (8, b"WEBPVP8"),
    // AVIF and HEIC.
    (4, b"ftypavi"),
    (4, b"ftyphei"),
    (4, b"ftypmif1"),
    // JPEG XL and JPEG 2000.
    (4, b"JXL \r\n\x87\n"),
    (4, b"jP  \r\n\x87\n"),
];

/// Walks the files in `folder` and in the folders below it, in the order of their names, byte by byte. Links are
/// followed, except those to a folder that they lie in. Passes over what is hidden (names that begin with a dot) and
/// what systems and archives leave behind (`Thumbs.db`, `__MACOSX`, `@eaDir`); `folder` itself may be hidden. What is
/// no folder is not opened, so pipes and devices come along.
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

/// Whether the name ends as that of an image that can be read, in capitals or not.
pub fn has_image_name(path: &Path) -> bool {
    ends_in(path, &READ)
}

/// Whether the file is meant to be an image, readable or not: by the end of its name, or else by its first bytes. Opens
/// regular files only.
pub fn is_meant_as_image(path: &Path) -> bool {
    ends_in(path, &READ) || ends_in(path, &UNREAD) || path.is_file() && starts_as_image(path)
}

fn starts_as_image(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(16).read_to_end(&mut start));
    read.is_ok() && SIGNATURES.iter().any(|(at, bytes)| start.get(*at..).is_some_and(|rest| rest.starts_with(bytes)))
}

fn ends_in(path: &Path, extensions: &[&str]) -> bool {
    let known = |extension: &OsStr| extensions.iter().any(|known| extension.eq_ignore_ascii_case(known));
    path.extension().is_some_and(known)
}

/// Whether it is a link to a folder that it lies in, whose files come anyway.
fn is_loop(entry: &DirEntry) -> bool {
    entry.path_is_symlink() && entry.file_type().is_dir() && {
        let real = |path: &Path| path.canonicalize().ok();
        let (target, within) = (real(entry.path()), entry.path().parent().and_then(real));
        matches!((target, within), (Some(target), Some(within)) if within.starts_with(&target))
    }
}

/// What systems and archives leave behind, hidden files aside: thumbnails of Windows and Synology, resource forks,
/// bins.
const STRAYS: [&str; 7] =
    ["Thumbs.db", "desktop.ini", "__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"];

/// What is hidden, and what systems and archives leave behind.
fn is_stray(entry: &DirEntry) -> bool {
    let name = entry.file_name();
    name.as_encoded_bytes().starts_with(b".") || STRAYS.iter().any(|stray| name.eq_ignore_ascii_case(stray))
}

#[cfg(test)]
mod tests {
    use super::*;
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
        // What a person names is looked through, hidden or not.
        assert_eq!(walk(&top.join(".thumbnails")).count(), 1);
    }

    #[test]
    fn images_are_known_by_their_names_or_their_first_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["a.JPG", "a.jpe", "a.jfif", "a.b.tiff"] {
            assert!(has_image_name(Path::new(name)) && is_meant_as_image(&path(name)), "{name}");
        }
        assert!(!has_image_name(Path::new("a.heic")) && is_meant_as_image(&path("a.HEIC")));
        for (name, bytes) in [
            ("avif", b"\0\0\0\x20ftypavif\0\0\0\0".as_slice()),
            ("heic", b"\0\0\0\x18ftypheic\0\0\0\0"),
            ("bigtiff", b"II+\0\x08\0\0\0"),
            ("jpeg.txt", b"\xff\xd8\xff\xe0"),
        ] {
            fs::write(path(name), bytes).unwrap();
            assert!(is_meant_as_image(&path(name)), "{name}");
        }
        for (name, text) in [("bm", "BM and so on"), ("p5.txt", "P5 is a file format"), ("short", "I"), ("png", "png")]
        {
            fs::write(path(name), text).unwrap();
            assert!(!is_meant_as_image(&path(name)), "{name}");
        }
        assert!(!is_meant_as_image(folder.path()) && !is_meant_as_image(&path("missing")));
    }
}
