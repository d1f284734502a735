//! What files lie in a folder, under the names of the samples they belong to.

use crate::error::Error;
use crate::lines::missing;
use crate::paths::Pattern;
use crate::walk::{has_image_name, walk};
use std::io;
use std::path::Path;

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
    for file in walk(&top) {
        let file = file?;
        let path = file.strip_prefix(folder).unwrap_or(&file);
        if !has_image_name(path) {
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
    Ok(all)
}
