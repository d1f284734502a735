//! Which images.

use crate::usage::usage;
use anyhow::{Context, Result};
use data::Orientation;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The images that `paths` name, by the name that their class map gets: the path relative to what was named, without
/// its extension. Folders are searched; files in them that hold no image are passed over.
pub fn find(paths: &[PathBuf]) -> Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    for path in paths {
        let mut add = |file: &Path, base: &Path| {
            let name = file.strip_prefix(base).unwrap_or(file).with_extension("").to_string_lossy().into_owned();
            match found.insert(name.clone(), file.to_path_buf()) {
                Some(other) if other != file => Err(usage(format!(
                    "{} and {} would both be written to {name}.png: predict them into different folders",
                    other.display(),
                    file.display()
                ))),
                _ => Ok(()),
            }
        };
        if path.is_dir() {
            search(path, &mut |file| {
                if let Err(error) = data::dimensions(file, Orientation::Apply) {
                    log::debug!("Passed over {}: {error}", file.display());
                    return Ok(());
                }
                add(file, path)
            })?;
        } else {
            data::dimensions(path, Orientation::Apply)?;
            add(path, path.parent().unwrap_or(Path::new("")))?;
        }
    }
    if found.is_empty() {
        let shown: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        return Err(usage(format!("no image in {}", shown.join(", "))));
    }
    Ok(found)
}

fn search(folder: &Path, add: &mut dyn FnMut(&Path) -> Result<()>) -> Result<()> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut entries = entries.with_context(|| folder.display().to_string())?;
    entries.sort_by_key(fs::DirEntry::path);
    for entry in entries {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) { search(&path, add)? } else { add(&path)? }
    }
    Ok(())
}
