//! Images on disk, found by the names that annotation files have for them.

use super::found::HINT;
use crate::decode::kind::{may_be_image, may_be_numbers, stem};
use crate::error::Error;
use crate::list::forms::composed;
use crate::list::lines::missing;
use crate::list::walk::walk;
use std::collections::HashMap;
use std::path::{Component, Path, PathBuf, absolute};

/// Images of a folder, by their paths and their names.
pub(super) struct Images {
    /// The folder, absolute and without `..`.
    folder: PathBuf,
    /// Path of the folder below the folder of all images, with a slash at its end unless it is empty.
    below: String,
    /// Paths below the folder of all images, in the order of their names.
    pub(super) paths: Vec<String>,
    /// Places in `paths` of each path below the folder, and of each path without its extension.
    by_path: HashMap<String, Vec<usize>>,
    /// Places of each file name, and of each without its extension.
    by_name: HashMap<String, Vec<usize>>,
}

/// Result of a search.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Search {
    /// The one image, by its place.
    One(usize),
    /// No image.
    None,
    /// Images that may be meant.
    Several(Vec<String>),
}

impl Images {
    /// Finds the images in `top/within`. With `numbers`, files of numbers are images too.
    pub(super) fn scan(top: &Path, within: &str, numbers: bool) -> Result<Self, Error> {
        let folder = top.join(within);
        if !folder.is_dir() {
            return Err(missing("folder of images", &folder, HINT));
        }
        let mut paths = Vec::new();
        for file in walk(&folder) {
            let file = file?;
            let is_image = || numbers && may_be_numbers(&file) || may_be_image(&file);
            let parts = file.strip_prefix(top).ok().map(|path| path.iter().map(|part| part.to_str()));
            let parts = parts.and_then(Iterator::collect::<Option<Vec<&str>>>);
            if let Some(path) = parts.map(|parts| parts.join("/")).filter(|_| is_image()) {
                paths.push(path);
            }
        }
        paths.sort_by(|one, other| named(one).cmp(named(other)));
        let within = within.trim_matches('/').trim_start_matches("./");
        let below = if matches!(within, "" | ".") { String::new() } else { format!("{within}/") };
        let (mut by_path, mut by_name) = (HashMap::<_, Vec<_>>::new(), HashMap::<_, Vec<_>>::new());
        for (place, path) in paths.iter().enumerate() {
            let own = composed(path.strip_prefix(&*below).unwrap_or(path));
            let name = own.rsplit('/').next().unwrap_or(&own).to_owned();
            for key in [named(&own).to_owned(), own.clone()] {
                by_path.entry(key).or_default().push(place);
            }
            for key in [stem(&name).to_owned(), name] {
                by_name.entry(key).or_default().push(place);
            }
        }
        Ok(Self { folder: resolved(&folder), below, paths, by_path, by_name })
    }

    /// Finds an image by the name that the annotation file in the folder `beside` has for it: as a path below the
    /// folder of images, as a path from the annotation file, or by its last part if that is the name of one image only.
    pub(super) fn find(&self, name: &str, beside: &Path) -> Search {
        let name = composed(&name.replace('\\', "/"));
        let name = name.trim_start_matches("./");
        let own = name.strip_prefix(&*self.below).unwrap_or(name);
        let from_file = resolved(&beside.join(name));
        let from_file = from_file.strip_prefix(&self.folder).ok().and_then(Path::to_str).unwrap_or_default();
        let last = name.rsplit('/').next().unwrap_or(name);
        let places = [(&self.by_path, name), (&self.by_path, own), (&self.by_path, from_file), (&self.by_name, last)];
        match places.into_iter().find_map(|(all, key)| all.get(key)).map(Vec::as_slice) {
            None => Search::None,
            Some([place]) => Search::One(*place),
            Some(several) => Search::Several(several.iter().map(|place| self.paths[*place].clone()).collect()),
        }
    }
}

/// Returns a path without the extension of its file name.
pub(super) fn named(path: &str) -> &str {
    let file = path.rfind('/').map_or(0, |slash| slash + 1);
    &path[..file + stem(&path[file..]).len()]
}

/// Returns the absolute path without `.` and `..`, by its letters alone.
fn resolved(path: &Path) -> PathBuf {
    let mut resolved = PathBuf::new();
    for part in absolute(path).unwrap_or_else(|_| path.into()).components() {
        match part {
            Component::ParentDir => _ = resolved.pop(),
            part => resolved.push(part),
        }
    }
    resolved
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn an_image_is_found_by_the_path_that_a_file_has_for_it() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["images/a.jpg", "images/b/a.jpg", "images/b/c.png", "images/é.png", "images/x.jpg", "images/x.png"]
        {
            fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
            fs::write(folder.path().join(name), "").unwrap();
        }
        let images = Images::scan(&folder.path().join("images"), "", false).unwrap();
        assert_eq!(images.paths, ["a.jpg", "b/a.jpg", "b/c.png", "x.jpg", "x.png", "é.png"]);
        let beside = folder.path().join("json");
        let find = |name: &str| match images.find(name, &beside) {
            Search::One(place) => images.paths[place].clone(),
            Search::None => "none".into(),
            Search::Several(paths) => paths.join(" and "),
        };
        for (name, expected) in [
            ("a.jpg", "a.jpg"),
            ("./b/a.jpg", "b/a.jpg"),
            ("b\\a.jpg", "b/a.jpg"),
            ("../images/b/a.jpg", "b/a.jpg"),
            ("/elsewhere/train/c.png", "b/c.png"),
            ("c", "b/c.png"),
            ("e\u{301}.png", "é.png"),
            ("../a/a.jpg", "a.jpg and b/a.jpg"),
            ("x.png", "x.png"),
            ("x", "x.jpg and x.png"),
            ("d.jpg", "none"),
        ] {
            assert_eq!(find(name), expected, "{name}");
        }
        let within = Images::scan(&folder.path().join("images"), "b", false).unwrap();
        assert_eq!(within.paths, ["b/a.jpg", "b/c.png"]);
        for name in ["a.jpg", "b/a.jpg", "a"] {
            assert_eq!(within.find(name, &beside), Search::One(0), "{name}");
        }
    }
}
