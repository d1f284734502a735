//! Reads annotation files, and joins them with the images on disk.

use super::config::Annotations;
use super::found::{Part, Place};
use super::images::{Images, Search, named};
use super::tool::Tool;
use crate::decode::header::dimensions;
use crate::error::Error;
use crate::load::drawn::drawing::Drawing;
use annotation::coco::panoptic;
use annotation::{Annotated, Category, Format, Image, Problem, Reader, Size, Trouble, coco};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Largest annotation file, in bytes. COCO's own have half a gigabyte.
const LARGEST: u64 = 1 << 32;

/// Everything that the annotation files of a data set say, with the images on disk.
pub(super) struct Read {
    /// Categories of all files, in the order of their ids.
    pub(super) categories: Vec<Category>,
    /// Images with their annotations, in the order of their names.
    pub(super) samples: Vec<Sample>,
    /// One error for each kind of images that are missing or do not fit.
    pub(super) errors: Vec<Error>,
    /// Annotations that were left out.
    pub(super) problems: Vec<Problem>,
}

/// An image with its annotations.
pub(super) struct Sample {
    /// Path below the folder of images, without the extension.
    pub(super) name: String,
    /// Path below the folder of images.
    pub(super) image: String,
    /// Shapes or segments; the file name is that of the problems.
    pub(super) drawing: Drawing,
    /// File that they are painted from.
    pub(super) file: PathBuf,
    /// Samples that the file is for.
    pub(super) part: Part,
}

/// Images that cannot be samples.
#[derive(Default)]
struct Unfit {
    missing: Vec<Vec<String>>,
    several: Vec<Vec<String>>,
}

/// Annotation file of an image, and the samples that it is for.
type Known = (PathBuf, Part);

impl Annotations {
    /// Returns the categories of all files, in the order of their ids.
    pub(super) fn categories(&self, tool: Tool) -> Result<Vec<Category>, Error> {
        let names = self.listed_names(tool)?;
        names.map_or_else(|| Ok(self.read(tool)?.categories), |names| Ok(listed(&names)))
    }

    /// Reads the annotations of both splits.
    pub(super) fn read(&self, tool: Tool) -> Result<Read, Error> {
        let mut all = Vec::new();
        for place in self.places(tool)? {
            let images = Images::scan(&self.root.join(&self.images), &place.images, self.preparation.sees_numbers())?;
            all.push((place, images));
        }
        let mut read = match tool {
            Tool::Coco => self.coco(&all)?,
            Tool::LabelMe => self.by_words(tool, Format::LabelMe, &all)?,
            Tool::Yolo => self.by_words(tool, Format::Yolo, &all)?,
            Tool::LabelStudio => self.by_words(tool, Format::LabelStudio, &all)?,
            Tool::Cvat => self.by_words(tool, Format::Cvat, &all)?,
        };
        read.samples.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(read)
    }

    /// Reads COCO's files, whose images have sizes and whose categories have ids of their own.
    fn coco(&self, all: &[(Place, Images)]) -> Result<Read, Error> {
        let mut categories = BTreeMap::<u64, String>::new();
        let (mut samples, mut problems, mut unfit) = (Vec::new(), Vec::new(), Unfit::default());
        for (place, images) in all {
            for file in &place.files {
                let shown = file.display().to_string();
                let (found, drawings, odd) = match self.panoptic {
                    None => {
                        let set = coco::parse(&shown, &bytes(file)?)?;
                        let drawings: Vec<Drawing> = set.images.into_iter().map(Drawing::Shapes).collect();
                        (set.categories, drawings, set.problems)
                    }
                    Some(_) => {
                        let set = panoptic::parse(&shown, &bytes(file)?)?;
                        let drawings = set.images.into_iter().map(Drawing::Segments).collect();
                        (set.categories, drawings, set.problems)
                    }
                };
                problems.extend(odd);
                for category in found {
                    let before = categories.entry(category.id).or_insert_with(|| category.name.clone());
                    if *before != category.name {
                        let key = "data.annotations".into();
                        let (id, name) = (category.id, category.name);
                        let problem = format!("the category {id} is '{name}' in {shown}, and '{before}' in the other");
                        return Err(contract::Invalid { key, problem }.into());
                    }
                }
                for drawing in drawings {
                    let Some(image) = unfit.place(images, drawing.file_name(), file) else { continue };
                    let image = images.paths[image].clone();
                    let painted = match &drawing {
                        Drawing::Shapes(_) => file.clone(),
                        Drawing::Segments(segmented) => self.png(&segmented.png, file),
                    };
                    samples.push(Sample {
                        name: named(&image).into(),
                        image,
                        drawing,
                        file: painted,
                        part: place.part,
                    });
                }
            }
        }
        let categories = categories.into_iter().map(|(id, name)| Category { id, name }).collect();
        Ok(Read { categories, samples, errors: unfit.errors(&self.root.join(&self.images)), problems })
    }

    /// Returns the path of a PNG of segments, which need not exist.
    fn png(&self, name: &str, file: &Path) -> PathBuf {
        let folder = self.root.join(self.panoptic.as_deref().unwrap_or_default());
        let of_file = folder.join(file.file_stem().unwrap_or_default()).join(name);
        if of_file.is_file() { of_file } else { folder.join(name) }
    }

    /// Reads the files of tools that name categories by words or number them in a list.
    fn by_words(&self, tool: Tool, format: Format, all: &[(Place, Images)]) -> Result<Read, Error> {
        let names = self.listed_names(tool)?;
        let top = self.root.join(&self.images);
        let mut reader = Reader::new(format, names.as_deref());
        let known = RefCell::new(HashMap::<String, Known>::new());
        let unfit = RefCell::new(Unfit::default());
        for (place, images) in all {
            for file in &place.files {
                // A text has the name of its image, below another folder.
                let of_text = file.strip_prefix(&place.source).ok().and_then(Path::to_str).map(named);
                let of_text = of_text.filter(|name| !name.is_empty());
                let find = |name: &str| {
                    let name = if tool == Tool::Yolo { of_text.unwrap_or(name) } else { name };
                    let found = match images.find(name, file.parent().unwrap_or(file)) {
                        Search::None if tool == Tool::LabelStudio => images.find(uploaded(name), &top),
                        found => found,
                    };
                    let path = match found {
                        Search::One(place) => images.paths[place].clone(),
                        Search::Several(paths) => {
                            unfit.borrow_mut().several.push(paths);
                            return None;
                        }
                        Search::None => return None,
                    };
                    let preparation = &self.preparation;
                    known.borrow_mut().entry(path.clone()).or_insert((file.clone(), place.part));
                    // An image that cannot be decoded is the error of its sample.
                    let [height, width] =
                        dimensions(&top.join(&path), &preparation.layout(), preparation.orientation).ok()?;
                    Some(Image { file_name: path, width, height })
                };
                reader.read(&file.display().to_string(), &bytes(file)?, &find)?;
            }
        }
        let (mut set, known, mut unfit) = (reader.finish(), known.into_inner(), unfit.into_inner());
        let mut samples = Vec::new();
        for annotated in set.images {
            match known.get(&annotated.file_name) {
                Some((file, part)) => {
                    let (image, file) = (annotated.file_name.clone(), file.clone());
                    let name = named(&image).to_owned();
                    let drawing = Drawing::Shapes(annotated);
                    samples.push(Sample { name, image, drawing, file, part: *part });
                }
                None => unfit.missing.push(vec![annotated.file_name]),
            }
        }
        let mut errors = unfit.errors(&top);
        // An image that would be left out since its size differs is no small thing.
        set.problems.retain(|problem| {
            let of_image = problem.annotation.is_none() && matches!(problem.trouble, Trouble::SizesDisagree { .. });
            if of_image {
                errors.push(Error::Annotated(Box::new(problem.clone())));
            }
            !of_image
        });
        if tool == Tool::Yolo {
            let found: HashSet<String> = samples.iter().map(|sample| sample.image.clone()).collect();
            for (place, images) in all {
                for path in images.paths.iter().filter(|path| !found.contains(*path) && !known.contains_key(*path)) {
                    samples.push(self.unlabelled(path, place)?);
                }
            }
        }
        Ok(Read { categories: set.categories, samples, errors, problems: set.problems })
    }

    /// Returns the sample of an image without a file, which shows the background alone.
    fn unlabelled(&self, path: &str, place: &Place) -> Result<Sample, Error> {
        let image = self.root.join(&self.images).join(path);
        let [height, width] = dimensions(&image, &self.preparation.layout(), self.preparation.orientation)?;
        let size = Size::new(width.into(), height.into()).map_err(annotation::Error::from)?;
        let annotated = Annotated { file_name: path.into(), size, shapes: Vec::new() };
        let (name, image) = (named(path).into(), path.into());
        let drawing = Drawing::Shapes(annotated);
        Ok(Sample { name, image, drawing, file: place.source.clone(), part: place.part })
    }
}

/// Returns the categories of a list, with ids from 1.
fn listed(names: &[String]) -> Vec<Category> {
    names.iter().zip(1..).map(|(name, id)| Category { id, name: name.clone() }).collect()
}

/// Returns the name without the eight digits that Label Studio puts before those of uploaded files.
fn uploaded(name: &str) -> &str {
    let parts = name.split_once('-').filter(|(start, _)| start.len() == 8);
    let parts = parts.filter(|(start, _)| start.bytes().all(|byte| byte.is_ascii_hexdigit()));
    parts.map_or(name, |(_, rest)| rest)
}

fn bytes(file: &Path) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Io { path: file.into(), source };
    let mut opened = regular::open(file).map_err(failed)?;
    if opened.metadata().map_err(failed)?.len() > LARGEST {
        return Err(Error::TooLarge { path: file.into(), largest: LARGEST });
    }
    let mut bytes = Vec::new();
    opened.read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

impl Unfit {
    /// Returns the place of an image of this name, or remembers why there is none.
    fn place(&mut self, images: &Images, name: &str, file: &Path) -> Option<usize> {
        match images.find(name, file.parent().unwrap_or(file)) {
            Search::One(place) => return Some(place),
            Search::None => self.missing.push(vec![name.to_owned()]),
            Search::Several(paths) => self.several.push(paths),
        }
        None
    }

    fn errors(self, folder: &Path) -> Vec<Error> {
        let kinds = [
            (
                "images that the annotation files name and that are not there",
                self.missing,
                "data.images names their folder; add them, or take them out of the annotation files",
            ),
            (
                "images of one name, of which an annotation file does not say which it means",
                self.several,
                "give paths below data.images in the annotation files, or rename all but one of each",
            ),
        ];
        let some = kinds.into_iter().filter(|(_, groups, _)| !groups.is_empty());
        let folder = folder.to_path_buf();
        some.map(|(what, groups, hint)| Error::Unmatched { what, folder: folder.clone(), groups, hint: hint.into() })
            .collect()
    }
}
