//! Parts of files that hold several images: slices of volumes, pages of TIFFs.
//!
//! `scan.nii.gz#z=17` names slice 17 of the volume across its axis z, `stack.tif#page=3` a page. Both count from 0.

use super::kind::may_be_numbers;
use crate::error::Error;
use raster::{Options, Raster, Slice};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Mark between the path of a file and the name of its part.
const MARK: char = '#';

/// An axis of a volume, in the order of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Axis {
    /// The first.
    X,
    /// The second.
    Y,
    /// The third.
    Z,
}

impl Axis {
    const ALL: [(Self, &str); 3] = [(Self::X, "x"), (Self::Y, "y"), (Self::Z, "z")];

    /// Returns its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::X => "x",
            Self::Y => "y",
            Self::Z => "z",
        }
    }
}

/// Returns the path of the file, and the part of it that `path` names. A file that has such a name is a whole one.
pub(crate) fn split(path: &Path) -> (&Path, Options) {
    let whole = || (path, Options::default());
    let Some((file, part)) = path.to_str().and_then(|name| name.rsplit_once(MARK)) else { return whole() };
    let Some((key, number)) = part.split_once('=') else { return whole() };
    let Some(index) = number.parse::<u32>().ok().filter(|index| index.to_string() == number) else { return whole() };
    let axis = Axis::ALL.into_iter().find(|(_, name)| *name == key);
    let options = match (key, axis) {
        ("page", _) => Options { page: index, ..Options::default() },
        (_, Some((axis, _))) => Options { slice: Some(Slice { axis: axis as u8, index }), ..Options::default() },
        _ => return whole(),
    };
    if path.exists() { whole() } else { (Path::new(file), options) }
}

/// Returns the path of the file that `path` names, or a part of which it names.
pub(crate) fn file(path: &Path) -> &Path {
    split(path).0
}

/// Returns the name of a slice of the file at `path`.
pub(crate) fn slice(path: &Path, axis: Axis, index: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!("{MARK}{}={index}", axis.name()));
    name.into()
}

/// Returns the number of slices across an axis of the volume at `path`; `None` where it is no volume.
pub(crate) fn slices(path: &Path, axis: Axis) -> Result<Option<u32>, Error> {
    if !may_be_numbers(path) {
        return Ok(None);
    }
    let first = Options { slice: Some(Slice { axis: axis as u8, index: 0 }), ..Options::default() };
    let raster = Raster::open_with(path, &first).map_err(|source| Error::Raster(Box::new(source)))?;
    Ok(Some(raster.info().pages))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_and_pages_are_named_behind_the_file() {
        let of = |axis, index| Options { slice: Some(Slice { axis, index }), ..Options::default() };
        for (path, file, options) in [
            ("a/scan.nii.gz#z=17", "a/scan.nii.gz", of(2, 17)),
            ("scan.nii#x=0", "scan.nii", of(0, 0)),
            ("a#b/scan.npy#y=3", "a#b/scan.npy", of(1, 3)),
            ("stack.tif#page=2", "stack.tif", Options { page: 2, ..Options::default() }),
            ("stack.tif#page=02", "stack.tif#page=02", Options::default()),
            ("photo#w=3", "photo#w=3", Options::default()),
            ("photo.png", "photo.png", Options::default()),
        ] {
            assert_eq!(split(Path::new(path)), (Path::new(file), options), "{path}");
        }
        assert_eq!(slice(Path::new("scan.nii"), Axis::Z, 4), Path::new("scan.nii#z=4"));
    }

    #[test]
    fn a_file_of_such_a_name_is_a_whole_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scan#z=1");
        std::fs::write(&path, "").unwrap();
        assert_eq!(split(&path), (path.as_path(), Options::default()));
    }
}
