//! Finds files among those of a data set that belong to no sample.

use super::finding::{Finding, Kind};
use super::inspect::misnamed;
use crate::config::Split;
use crate::dataset::Dataset;
use crate::decode::may_be_image;
use crate::error::Error;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Finds image files that belong to no sample in the folders of the samples' files. Skips hidden files, the `._NAME`
/// files that archives and systems leave behind, and files that are no images, as the search for samples does.
pub(super) fn find(splits: &[(Split, Arc<dyn Dataset>)]) -> Result<Vec<Finding>, Error> {
    let mut used: BTreeSet<PathBuf> = BTreeSet::new();
    for (_, dataset) in splits {
        for index in 0..dataset.len() {
            used.extend(dataset.paths(index)?);
        }
    }
    let folders: BTreeSet<&Path> = used.iter().filter_map(|path| path.parent()).collect();
    let mut findings = Vec::new();
    for folder in folders {
        // A missing folder has been reported with every file in it.
        let Ok(entries) = fs::read_dir(folder) else { continue };
        for path in entries.flatten().map(|entry| entry.path()) {
            let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
            if !hidden && may_be_image(&path) && path.is_file() && !used.contains(&path) {
                findings.extend(stray(&path));
            }
        }
    }
    Ok(findings)
}

/// Returns the findings on a file that belongs to no sample.
pub(super) fn stray(path: &Path) -> impl Iterator<Item = Finding> {
    let stray = Finding::new(Kind::Stray, "no sample is made of this file").files([path.to_path_buf()]);
    [Some(stray), misnamed(path)].into_iter().flatten()
}
