//! Files that lie among those of a data set, and that no sample is made of.

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

/// Image files in the folders that the samples' files are in, of no sample themselves. What archives and systems strew
/// about (`._NAME`, hidden files) and what is no image by its name is passed over, as it is when samples are looked for.
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
        // A folder that is not there has been found missing with every file in it.
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

/// What there is to say of a file that no sample is made of.
pub(super) fn stray(path: &Path) -> impl Iterator<Item = Finding> {
    let stray = Finding::new(Kind::Stray, "no sample is made of this file").files([path.to_path_buf()]);
    [Some(stray), misnamed(path)].into_iter().flatten()
}
