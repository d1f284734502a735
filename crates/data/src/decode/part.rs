//! Parts of files that hold several images: slices of volumes, pages of TIFFs.
//!
//! `scan.nii.gz#z=17` names slice 17 of the volume across its axis z, `stack.tif#page=3` a page. Both count from 0.
//! `red.tif|infrared.tif` names two files whose bands together are one image.

use super::kind::{may_be_numbers, stem};
use crate::error::Error;
use raster::{Options, Raster, Slice};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Mark between the path of a file and the name of its part.
const MARK: char = '#';

/// Mark between the files of one image.
const AND: char = '|';

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

/// Returns the files that make an image together, or parts of files; mostly one.
pub(crate) fn pieces(path: &Path) -> Vec<PathBuf> {
    match path.to_str() {
        Some(names) if names.contains(AND) && !path.exists() => names.split(AND).map(PathBuf::from).collect(),
        _ => vec![path.into()],
    }
}

/// Returns the path of an image that these files make together.
pub fn joined(files: &[PathBuf]) -> PathBuf {
    let names: Vec<_> = files.iter().map(|file| file.as_os_str().to_owned()).collect();
    names.join(OsStr::new(AND.encode_utf8(&mut [0; 4]))).into()
}

/// Returns the first file of an image, whole.
pub fn first(path: &Path) -> PathBuf {
    pieces(path).first().map_or_else(|| path.into(), |piece| file(piece).to_path_buf())
}

/// Returns whether `path` names a part of a file.
pub(crate) fn is_slice(path: &Path) -> bool {
    pieces(path).first().is_some_and(|piece| file(piece) != piece)
}

/// Returns whether `path` names a part of a file, or several files.
pub(crate) fn is_part(path: &Path) -> bool {
    file(path) != path || pieces(path).len() > 1
}

/// Returns the path of the file that `path` names, or a part of which it names.
pub(crate) fn file(path: &Path) -> &Path {
    split(path).0
}

/// Returns the path without the extension of its file, and with the name of the part that it names: `scan_z017` for
/// `scan.nii.gz#z=17`.
pub fn named(path: &Path) -> PathBuf {
    let (file, options) = split(path);
    let name = file.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let bare = if may_be_numbers(file) { file.with_file_name(stem(&name)) } else { file.with_extension("") };
    if file == path {
        return bare;
    }
    let part = match options.slice {
        Some(Slice { axis, index }) => {
            let axis = Axis::ALL.into_iter().find(|(known, _)| *known as u8 == axis);
            format!("_{}{index:03}", axis.map_or("", |(_, name)| name))
        }
        None => format!("_page{:03}", options.page),
    };
    let mut named = bare.into_os_string();
    named.push(part);
    named.into()
}

/// Returns the path of a slice of the file at `path`.
pub fn slice(path: &Path, axis: Axis, index: u32) -> PathBuf {
    let of = |piece: PathBuf| {
        let mut name = piece.into_os_string();
        name.push(format!("{MARK}{}={index}", axis.name()));
        PathBuf::from(name)
    };
    joined(&pieces(path).into_iter().map(of).collect::<Vec<_>>())
}

/// Returns the number of slices across an axis of the volume at `path`; `None` where it is no file of numbers.
///
/// # Errors
///
/// Fails if the file is no volume, or cannot be read.
pub fn slices(path: &Path, axis: Axis) -> Result<Option<u32>, Error> {
    let all = pieces(path);
    let Some(path) = all.first().filter(|path| may_be_numbers(path)) else { return Ok(None) };
    let first = Options { slice: Some(Slice { axis: axis as u8, index: 0 }), ..Options::default() };
    let raster = Raster::open_with(path, &first)?;
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
        for (path, name) in [
            ("a/scan.nii.gz#z=17", "a/scan_z017"),
            ("a/scan.nii.gz", "a/scan"),
            ("stack.tif#page=2", "stack_page002"),
            ("photo.a.png", "photo.a"),
        ] {
            assert_eq!(named(Path::new(path)), Path::new(name));
        }
        let both = joined(&["a.nii".into(), "b.nii".into()]);
        assert_eq!(pieces(&both), [Path::new("a.nii"), Path::new("b.nii")]);
        assert_eq!(slice(&both, Axis::X, 2), Path::new("a.nii#x=2|b.nii#x=2"));
        assert!(is_part(&both) && is_part(Path::new("a.nii#z=1")) && !is_part(Path::new("a.nii")));
    }

    #[test]
    fn a_file_of_such_a_name_is_a_whole_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scan#z=1");
        std::fs::write(&path, "").unwrap();
        assert_eq!(split(&path), (path.as_path(), Options::default()));
    }
}
