//! What files lie in a folder, under the names of the samples they belong to.

use crate::decode::{is_image_by_content, is_named_as_image, is_read_by_name};
use crate::error::Error;
use crate::lines::missing;
use crate::paths::Pattern;
use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use walkdir::{DirEntry, WalkDir};

/// A file and the sample it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Found {
    /// The folder below the one that was looked through, and what stands for `{}` in the file's stem.
    pub(super) name: String,
    /// The path, relative to the folder that was looked through.
    pub(super) path: String,
}

/// The images of any kind below `folder/within` whose stems fit `pattern`, in the order of their names, byte by byte.
/// Links are followed. `what` and `hint` are for the message where there is no such folder.
pub(super) fn scan(
    folder: &Path,
    within: &str,
    pattern: &Pattern,
    [what, hint]: [&'static str; 2],
) -> Result<Vec<Found>, Error> {
    let top = folder.join(within);
    if !top.is_dir() {
        return Err(missing(what, &top, hint));
    }
    let mut all = Vec::new();
    let entries = WalkDir::new(&top).follow_links(true).into_iter();
    for entry in entries.filter_entry(|entry| entry.depth() == 0 || !stray(entry)) {
        let entry = entry.map_err(|error| Error::Io {
            path: error.path().map_or_else(|| top.clone(), PathBuf::from),
            source: error.into(),
        })?;
        let path = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        if entry.file_type().is_dir() || !is_image(entry.path()) {
            continue;
        }
        let parts: Option<Vec<&str>> = path.iter().map(|part| part.to_str()).collect();
        let Some(path) = parts.map(|parts| parts.join("/")) else {
            let source = io::Error::new(io::ErrorKind::InvalidData, "its name is not UTF-8: rename it");
            return Err(Error::Io { path: entry.path().into(), source });
        };
        let (parent, file) = path.rsplit_once('/').map_or(("", &*path), |(parent, file)| (parent, file));
        let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
        if let Some(part) = pattern.part(stem) {
            let name = if parent.is_empty() { part.into() } else { format!("{parent}/{part}") };
            all.push(Found { name, path });
        }
    }
    all.sort_unstable();
    // A HEIC or AVIF file that has been converted is not missed; one that has not will be the error of its sample.
    let is_read = |found: &Found| !is_unread(Path::new(&found.path));
    let read: HashSet<String> = all.iter().filter(|found| is_read(found)).map(|found| found.name.clone()).collect();
    all.retain(|found| is_read(found) || !read.contains(&found.name));
    Ok(all)
}

/// Whether a file is an image by its name or, where that has no extension, by its content.
fn is_image(path: &Path) -> bool {
    is_named_as_image(path) || path.extension().is_none() && is_image_by_content(path)
}

/// Whether a name is that of an image of a format that is not read.
fn is_unread(path: &Path) -> bool {
    is_named_as_image(path) && !is_read_by_name(path)
}

/// What systems and archives leave behind.
fn stray(entry: &DirEntry) -> bool {
    let name = entry.file_name().to_string_lossy();
    name.starts_with('.') || name.eq_ignore_ascii_case("Thumbs.db") || name == "__MACOSX"
}
