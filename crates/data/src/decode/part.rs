//! Parts of files that hold several images: slices of volumes, pages of TIFFs.
//!
//! `scan.nii.gz#z=17` names slice 17 of the volume across its axis z, `stack.tif#page=3` a page. Both count from 0.

use raster::{Options, Slice};
use std::path::Path;

/// Mark between the path of a file and the name of its part.
const MARK: char = '#';

/// Names of the axes of a volume.
pub(crate) const AXES: [&str; 3] = ["x", "y", "z"];

/// Returns the path of the file, and the part of it that `path` names. A file that has such a name is a whole one.
pub(crate) fn split(path: &Path) -> (&Path, Options) {
    let whole = || (path, Options::default());
    let Some((file, part)) = path.to_str().and_then(|name| name.rsplit_once(MARK)) else { return whole() };
    let Some((key, number)) = part.split_once('=') else { return whole() };
    let Some(index) = number.parse::<u32>().ok().filter(|index| index.to_string() == number) else { return whole() };
    let axis = AXES.iter().position(|axis| *axis == key);
    let options = match (key, axis.and_then(|axis| u8::try_from(axis).ok())) {
        ("page", _) => Options { page: index, ..Options::default() },
        (_, Some(axis)) => Options { slice: Some(Slice { axis, index }), ..Options::default() },
        _ => return whole(),
    };
    if path.exists() { whole() } else { (Path::new(file), options) }
}

/// Returns the path of the file that `path` names, or a part of which it names.
pub(crate) fn file(path: &Path) -> &Path {
    split(path).0
}

/// Returns the name of a part of the file at `path`.
pub(crate) fn named(path: &str, key: &str, index: u32) -> String {
    format!("{path}{MARK}{key}={index}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_and_pages_are_named_behind_the_file() {
        let slice = |axis, index| Options { slice: Some(Slice { axis, index }), ..Options::default() };
        for (path, file, options) in [
            ("a/scan.nii.gz#z=17", "a/scan.nii.gz", slice(2, 17)),
            ("scan.nii#x=0", "scan.nii", slice(0, 0)),
            ("a#b/scan.npy#y=3", "a#b/scan.npy", slice(1, 3)),
            ("stack.tif#page=2", "stack.tif", Options { page: 2, ..Options::default() }),
            ("stack.tif#page=02", "stack.tif#page=02", Options::default()),
            ("photo#w=3", "photo#w=3", Options::default()),
            ("photo.png", "photo.png", Options::default()),
        ] {
            assert_eq!(split(Path::new(path)), (Path::new(file), options), "{path}");
        }
        assert_eq!(named("scan.nii", AXES[2], 4), "scan.nii#z=4");
    }

    #[test]
    fn a_file_of_such_a_name_is_a_whole_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scan#z=1");
        std::fs::write(&path, "").unwrap();
        assert_eq!(split(&path), (path.as_path(), Options::default()));
    }
}
