//! Finds the image files in a folder, with the names of their samples.

use crate::decode::kind::{is_named_as_image, is_read_by_name, may_be_image, may_be_numbers, stem};
use crate::error::Error;
use crate::list::lines::missing;
use crate::list::paths::Pattern;
use crate::list::walk::walk;
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
/// their names, byte by byte. Follows links. With `numbers`, files of numbers are images too. `what` and
/// `hint` are for the error if the folder is missing.
pub(super) fn scan(
    folder: &Path,
    within: &str,
    pattern: &Pattern,
    [what, hint]: [&'static str; 2],
    numbers: bool,
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
        let fits = |name: &OsStr| name.to_str().is_none_or(|name| pattern.part(stem(name)).is_some());
        let is_image = || numbers && may_be_numbers(&file) || may_be_image(&file);
        if !path.file_name().is_some_and(fits) || !is_image() {
            continue;
        }
        let parts: Option<Vec<&str>> = path.iter().map(|part| part.to_str()).collect();
        let Some(path) = parts.map(|parts| parts.join("/")) else {
            let source = io::Error::new(io::ErrorKind::InvalidData, "its name is not UTF-8: rename it");
            return Err(Error::Io { path: file, source });
        };
        let (parent, file) = path.rsplit_once('/').map_or(("", &*path), |(parent, file)| (parent, file));
        if let Some(part) = pattern.part(stem(file)) {
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

/// Returns the files of this name in a sorted list.
pub(super) fn find<'f>(sorted: &'f [Found], name: &str) -> &'f [Found] {
    let start = sorted.partition_point(|found| *found.name < *name);
    let rest = &sorted[start..];
    &rest[..rest.partition_point(|found| found.name == name)]
}

/// Returns whether the file name has the extension of an image format that is not supported.
fn is_unread(path: &Path) -> bool {
    is_named_as_image(path) && !is_read_by_name(path)
}
