//! Finds the image files in a folder, with the names of their samples.

use crate::decode::{is_named_as_image, is_read_by_name, may_be_image};
use crate::error::Error;
use crate::lines::missing;
use crate::paths::Pattern;
use crate::walk::walk;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::path::Path;

/// A file and the sample it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Found {
    /// Name of the sample: the subfolder, and the part of the file's stem that stands for `{}`.
    pub(super) name: String,
    /// Path relative to the searched folder.
    pub(super) path: String,
}

/// Finds the images of any kind, readable or not, below `folder/within` whose stems match `pattern`, in the order of
/// their names, byte by byte. Follows links. `what` and `hint` are for the error if the folder is missing.
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
    for file in walk(&top) {
        let file = match file {
            // A dangling link is a missing image: it is reported, or left out, as one.
            Err(Error::Io { path, .. }) if is_read_by_name(&path) && path.is_symlink() => path,
            file => file?,
        };
        let path = file.strip_prefix(folder).unwrap_or(&file);
        // The stem first, which needs no look into the file.
        let fits = |stem: &OsStr| stem.to_str().is_none_or(|stem| pattern.part(stem).is_some());
        if !path.file_stem().is_some_and(fits) || !may_be_image(&file) {
            continue;
        }
        let parts: Option<Vec<&str>> = path.iter().map(|part| part.to_str()).collect();
        let Some(path) = parts.map(|parts| parts.join("/")) else {
            let source = io::Error::new(io::ErrorKind::InvalidData, "its name is not UTF-8: rename it");
            return Err(Error::Io { path: file, source });
        };
        let (parent, file) = path.rsplit_once('/').map_or(("", &*path), |(parent, file)| (parent, file));
        let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
        if let Some(part) = pattern.part(stem) {
            let name = if parent.is_empty() { part.into() } else { format!("{parent}/{part}") };
            all.push(Found { name, path });
        }
    }
    all.sort_unstable();
    // A HEIC or AVIF file that has been converted is ignored; one that has not will be the error of its sample.
    let is_read = |found: &Found| !is_unread(Path::new(&found.path));
    let read: HashSet<String> = all.iter().filter(|found| is_read(found)).map(|found| found.name.clone()).collect();
    all.retain(|found| is_read(found) || !read.contains(&found.name));
    Ok(all)
}

/// Returns whether the file name has the extension of an image format that is not supported.
fn is_unread(path: &Path) -> bool {
    is_named_as_image(path) && !is_read_by_name(path)
}
