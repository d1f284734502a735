//! A data set of two folders: images in one, and in the other a mask for each, matched by name.
//!
//! A sample's name is the folder below `images` that holds its file, and the part of the file's name that stands for
//! `{}`. Samples are in the order of their names, byte by byte, which is the same on every machine.

mod forms;
mod scan;

use crate::decode::kind::stem;
use crate::decode::part::joined;
use crate::error::{Error, within};
use crate::label::Labels;
use crate::label::classes::{Class, check_classes};
use crate::list::forms::composed;
use crate::list::lines::{lines, missing, read, shown};
use crate::list::paths::{Further, Paths, Pattern, whole};
use crate::list::split::{Split, SplitConfig, Splitting};
use crate::load::files::Preparation;
use contract::Invalid;
use forms::Forms;
use scan::{Found, find, scan};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Advice where a folder is missing.
const HINT: &str = "data.root must name the folder that holds data.images and data.masks; data.split.train and \
                    data.split.validation name folders below both, or lists of names below data.root";

/// Configuration of a data set of two folders.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Folders {
    /// Folder that holds the other two; relative to the working directory.
    #[schemars(extend("x-resume" = "safe"))]
    pub root: PathBuf,
    /// Folder of the images, below `root`; images may lie in subfolders.
    #[schemars(extend("x-resume" = "ask"))]
    #[serde(default = "images")]
    pub images: String,
    /// Folder of the masks, below `root`, with the same subfolders.
    #[schemars(extend("x-resume" = "ask"))]
    #[serde(default = "masks")]
    pub masks: String,
    /// Pattern of an image file's name without its extension, with `{}` for the part that its mask shares. Other files
    /// are skipped.
    #[schemars(extend("x-resume" = "ask"))]
    #[serde(default = "whole")]
    pub image_name: String,
    /// Pattern of a mask file's name, in the same form.
    #[schemars(extend("x-resume" = "ask"))]
    #[serde(default = "whole")]
    pub mask_name: String,
    /// The classes, in the order of their ids.
    #[schemars(extend("x-resume" = "refuse"))]
    pub classes: Vec<Class>,
    /// Meaning of the masks' values or colours.
    #[schemars(extend("x-resume" = "ask"))]
    #[serde(default)]
    pub labels: Labels,
    /// Split into training and validation samples.
    #[schemars(extend("x-resume" = "ask"))]
    #[serde(default)]
    pub split: SplitConfig,
    /// Conversion of the files to the network's input.
    #[serde(flatten)]
    pub preparation: Preparation,
}

fn images() -> String {
    "images".into()
}

fn masks() -> String {
    "masks".into()
}

/// Images and masks, each in the order of their names.
type Both = [Vec<Found>; 2];

impl Folders {
    /// Refuses invalid values; keys are relative to this struct.
    pub(crate) fn check(&self) -> Result<(), Invalid> {
        for (key, text) in [("image_name", &self.image_name), ("mask_name", &self.mask_name)] {
            Pattern::parse(key, text)?;
            Invalid::unless(!text.contains(['/', '\\']), key, || {
                format!("is for the names of files and must hold no folder, is '{text}'")
            })?;
        }
        Invalid::unless(self.images != self.masks || self.image_name != self.mask_name, "masks", || {
            "is the folder of the images too; then image_name and mask_name must tell them apart".into()
        })?;
        self.split.check()?;
        check_classes(&self.classes)?;
        within("labels", self.labels.check(&self.classes))
    }

    /// Finds the images of a split and the mask of each.
    pub(crate) fn paths(&self, split: Split) -> Result<Paths, Error> {
        let (paths, unmatched) = self.matched(split)?;
        match unmatched.into_iter().next() {
            None => self.kept(paths, split),
            Some(error) => Err(error),
        }
    }

    /// Does the same, but leaves out files without a match, and returns an error for each kind of mismatch.
    pub(crate) fn sound_paths(&self, split: Split) -> Result<(Paths, Vec<Error>), Error> {
        let (paths, unmatched) = self.matched(split)?;
        let paths = if paths.len() == 0 { paths } else { self.kept(paths, split)? };
        Ok((paths, unmatched))
    }

    /// Keeps the samples of a split.
    fn kept(&self, mut paths: Paths, split: Split) -> Result<Paths, Error> {
        if let Splitting::Hashed(rule) = self.split.check()? {
            paths.keep(rule, split)?;
        }
        Ok(paths)
    }

    /// Returns the masks without an image. They are no error: nothing is trained on them.
    pub fn unused_masks(&self) -> Result<Vec<PathBuf>, Error> {
        let parts = match self.split.check()? {
            Splitting::Named { train, validation } if self.is_folder(train) => vec![train, validation],
            _ => vec![""],
        };
        let mut unused = Vec::new();
        for part in parts {
            let [images, masks] = self.scan(part)?;
            let forms = Forms::new(&images, &masks);
            let alone = masks.iter().filter(|mask| {
                let [images_of_form, _] = forms.of(&mask.name);
                find(&images, &mask.name).is_empty() && images_of_form.is_empty()
            });
            unused.extend(alone.map(|mask| self.root.join(&self.masks).join(&mask.path)));
        }
        Ok(unused)
    }

    fn is_folder(&self, part: &str) -> bool {
        self.root.join(&self.images).join(part).is_dir()
    }

    /// Returns the images and masks in the subfolder `part` of their folders.
    fn scan(&self, part: &str) -> Result<Both, Error> {
        let (images, masks) = (self.root.join(&self.images), self.root.join(&self.masks));
        let [image, mask] =
            [Pattern::parse("image_name", &self.image_name)?, Pattern::parse("mask_name", &self.mask_name)?];
        let numbers = self.preparation.sees_numbers();
        let found = scan(&images, part, &image, ["folder of images", HINT], numbers)?;
        if found.is_empty() {
            let what = "image files (jpg, png, bmp, gif, tiff, webp) with names as data.image_name says";
            return Err(missing(what, &images.join(part), HINT));
        }
        Ok([found, scan(&masks, part, &mask, ["folder of masks", HINT], numbers)?])
    }

    /// Returns the patterns of the further files of each image.
    fn further(&self) -> Result<Vec<Further>, Invalid> {
        let from = Pattern::parse("image_name", &self.image_name)?;
        let named = |text: &String| Ok(Further::Named { from: from.clone(), to: Pattern::parse("more_images", text)? });
        self.preparation.more_images.iter().map(named).collect()
    }

    /// Returns the path of the image that the file at `path` belongs to, and its name; `None` for one of its further
    /// files. A file of no such name is an image by itself.
    pub(crate) fn together(&self, path: &Path) -> Option<(PathBuf, String)> {
        let file = path.file_name()?.to_str()?;
        let (own, rest) = (stem(file), &file[stem(file).len()..]);
        let alone = || Some((path.to_path_buf(), file.to_owned()));
        let parse = |text: &String| Pattern::parse("", text).ok();
        let (Some(from), more) = (parse(&self.image_name), &self.preparation.more_images) else { return alone() };
        if more.is_empty() {
            return alone();
        }
        if let Some(name) = from.part(own) {
            let further = more.iter().filter_map(parse);
            let file = |to: Pattern| path.with_file_name([&*to.prefix, name, &*to.suffix, rest].concat());
            let files: Vec<PathBuf> = std::iter::once(path.to_path_buf()).chain(further.map(file)).collect();
            return Some((joined(&files), [name, rest].concat()));
        }
        if more.iter().filter_map(parse).any(|pattern| pattern.part(own).is_some()) { None } else { alone() }
    }

    /// Returns the files of the subfolders `part`, or of the samples in the list of that name.
    fn named(&self, part: &str) -> Result<Both, Error> {
        if self.is_folder(part) { self.scan(part) } else { self.listed(part) }
    }

    /// Returns the samples that a list names, with all masks.
    fn listed(&self, list: &str) -> Result<Both, Error> {
        let path = self.root.join(list);
        let text = read("list of names, or folder of images,", &path, HINT)?;
        let [mut images, masks] = self.scan("")?;
        let mut seen = HashMap::new();
        let wrong = |line, problem| Err(Error::List { path: path.clone(), line, problem });
        let mut others: HashMap<String, &str> = HashMap::new();
        for image in images.iter().filter(|image| !image.name.is_ascii()) {
            others.insert(composed(&image.name), &image.name);
        }
        for (line, name) in lines(&text) {
            let other = || others.get(&composed(name)).copied();
            let name = if find(&images, name).is_empty() { other().unwrap_or(name) } else { name };
            if let Some(before) = seen.insert(name.to_owned(), line) {
                return wrong(line, format!("names '{}' again, after line {before}: remove one", shown(name)));
            }
            if find(&images, name).is_empty() {
                let with_slashes = name.replace('\\', "/");
                let instead = if find(&images, &with_slashes).is_empty() {
                    format!("a name has no extension, and of '{}' only what stands for {{}}", self.image_name)
                } else {
                    format!("write '{with_slashes}'")
                };
                let folder = self.root.join(&self.images);
                return wrong(line, format!("there is no image '{}' in {}; {instead}", shown(name), folder.display()));
            }
        }
        if seen.is_empty() {
            return Err(Error::Empty { path });
        }
        images.retain(|image| seen.contains_key(&*image.name));
        Ok([images, masks])
    }

    /// Matches images with masks, in the folders or the list that a split comes from, and returns the samples and an
    /// error for each kind of mismatch.
    fn matched(&self, split: Split) -> Result<(Paths, Vec<Error>), Error> {
        let [images, masks] = match (self.split.check()?, split) {
            (Splitting::Hashed(_), _) => self.scan("")?,
            (Splitting::Named { train: part, .. }, Split::Train)
            | (Splitting::Named { validation: part, .. }, Split::Validation) => self.named(part)?,
        };
        let folder = |folder: &str| if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let mut paths = Paths::new(&self.root);
        (paths.image.prefix, paths.mask.prefix) = (folder(&self.images), folder(&self.masks));
        paths.more = self.further()?;
        let (mut same, mut without, mut several) = (Vec::new(), Vec::new(), Vec::new());
        let forms = Forms::new(&images, &masks);
        for alike in images.chunk_by(|a, b| a.name == b.name) {
            match (alike, find(&masks, &alike[0].name)) {
                ([image], [mask]) => paths.push([&image.name, &image.path, &mask.path], &self.root)?,
                ([image], []) => match forms.of(&image.name) {
                    [_, []] => without.push(together([image])),
                    [[_], [mask]] => paths.push([&image.name, &image.path, &mask.path], &self.root)?,
                    [[] | [_], masks] => several.push(together(masks.iter().copied())),
                    // Reported once, with the first of them.
                    [images, _] if images[0] == image => same.push(together(images.iter().copied())),
                    _ => {}
                },
                ([_], masks) => several.push(together(masks)),
                (images, _) => same.push(together(images)),
            }
        }
        let (images, masks) = (self.root.join(&self.images), self.root.join(&self.masks));
        let add = format!(
            "the mask of an image has its folder and name, with '{}' for '{}', in {}; add it or remove the image",
            self.mask_name,
            self.image_name,
            masks.display()
        );
        let unmatched = [
            ("images of one name", &images, same, "rename or remove all but one of each".into()),
            ("images with more than one mask", &masks, several, "remove all masks of each but one".into()),
            ("images without a mask", &images, without, add),
        ];
        let unmatched = unmatched.into_iter().filter(|(_, _, groups, _)| !groups.is_empty());
        let error = |(what, folder, groups, hint): (_, &PathBuf, _, _)| Error::Unmatched {
            what,
            folder: folder.clone(),
            groups,
            hint,
        };
        Ok((paths, unmatched.map(error).collect()))
    }
}

/// Returns the paths of a group of files.
fn together<'f>(files: impl IntoIterator<Item = &'f Found>) -> Vec<String> {
    files.into_iter().map(|file| file.path.clone()).collect()
}

#[cfg(test)]
mod tests;
