//! What files lie in a folder, under the names of the samples they belong to.

use crate::error::Error;
use crate::lines::missing;
use crate::paths::Pattern;
use std::io;
use std::path::{Path, PathBuf};
use walkdir::{DirEntry, WalkDir};

/// What images and masks end in.
const EXTENSIONS: [&str; 8] = ["jpg", "jpeg", "png", "bmp", "gif", "tif", "tiff", "webp"];

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
        if entry.file_type().is_dir() || !path.extension().is_some_and(known) {
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
    Ok(all)
}

fn known(extension: &std::ffi::OsStr) -> bool {
    EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// What systems and archives leave behind.
fn stray(entry: &DirEntry) -> bool {
    let name = entry.file_name().to_string_lossy();
    name.starts_with('.') || name.eq_ignore_ascii_case("Thumbs.db") || name == "__MACOSX"
}
