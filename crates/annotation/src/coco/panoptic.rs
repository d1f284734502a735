//! COCO's panoptic files: a PNG of segment ids for each image, and a JSON that says what they are.

use super::raw;
use crate::json;
use crate::outline::IGNORE;
use crate::patch::Size;
use crate::png_mask;
use crate::problem::{Error, Problem, Trouble};
use crate::set::{Category, Classes};
use std::collections::{HashMap, HashSet};

/// Contents of a panoptic JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct Panoptic {
    /// Categories in the order of their ids.
    pub categories: Vec<Category>,
    /// Images that have an annotation, in the order of the annotations.
    pub images: Vec<Segmented>,
    /// Problems of all that was left out.
    pub problems: Vec<Problem>,
}

/// An image with its segments.
#[derive(Clone, Debug, PartialEq)]
pub struct Segmented {
    /// Name of the image's file.
    pub file_name: String,
    /// Name of the PNG with the segments.
    pub png: String,
    /// Size in pixels.
    pub size: Size,
    /// Segments by their ids.
    pub segments: HashMap<u32, Segment>,
}

/// A segment: a thing, or all stuff of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Category's id.
    pub category: u64,
    /// True for a crowd, whose pixels are ignored.
    pub crowd: bool,
}

#[derive(serde::Deserialize)]
struct File {
    images: Vec<raw::Image>,
    annotations: Vec<Annotation>,
    categories: Vec<raw::Category>,
}

#[derive(serde::Deserialize)]
struct Annotation {
    image_id: u64,
    file_name: String,
    segments_info: Vec<Info>,
}

#[derive(serde::Deserialize)]
struct Info {
    id: u32,
    category_id: u64,
    #[serde(default, deserialize_with = "raw::flag")]
    iscrowd: bool,
}

/// Reads a panoptic JSON (`panoptic_train2017.json` and the like).
///
/// # Errors
///
/// [`Error`] if the file is not COCO's panoptic JSON, or two categories have one id.
pub fn parse(file: &str, bytes: &[u8]) -> Result<Panoptic, Error> {
    let raw: File = json::parse(file, "COCO's panoptic segmentation", bytes)?;
    let categories = super::categories(file, raw.categories)?;
    let known: HashSet<u64> = categories.iter().map(|category| category.id).collect();
    let mut reader = super::Images::new(file);
    raw.images.into_iter().for_each(|image| reader.add(image));
    let super::Images { images: listed, of_id, refused, mut problems, .. } = reader;
    let (mut images, mut annotated): (Vec<Segmented>, HashSet<u64>) = (Vec::new(), HashSet::new());
    for annotation in raw.annotations {
        let Some(&index) = of_id.get(&annotation.image_id) else {
            if !refused.contains(&annotation.image_id) {
                let trouble = Trouble::UnknownImage(annotation.image_id);
                let png = Some(annotation.file_name);
                problems.push(Problem { file: file.to_owned(), image: None, annotation: png, trouble });
            }
            continue;
        };
        let mut name = |annotation: Option<String>, trouble| {
            let image = Some(listed[index].file_name.clone());
            problems.push(Problem { file: file.to_owned(), image, annotation, trouble });
        };
        if !annotated.insert(annotation.image_id) {
            name(Some(annotation.file_name), Trouble::DuplicateAnnotation);
            continue;
        }
        let mut segments = HashMap::new();
        for Info { id, category_id, iscrowd } in annotation.segments_info {
            let segment = Segment { category: category_id, crowd: iscrowd };
            if !known.contains(&category_id) {
                name(Some(id.to_string()), Trouble::UnknownCategory(category_id.to_string()));
            } else if *segments.entry(id).or_insert(segment) != segment {
                name(Some(id.to_string()), Trouble::DuplicateAnnotation);
            }
        }
        let (file_name, size) = (listed[index].file_name.clone(), listed[index].size);
        images.push(Segmented { file_name, png: annotation.file_name, size, segments });
    }
    Ok(Panoptic { categories, images, problems })
}

impl Panoptic {
    /// Returns the class ids of the categories.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyCategories`] if there are more than 254.
    pub fn classes(&self) -> Result<Classes, Error> {
        Classes::new(&self.categories)
    }
}

impl Segmented {
    /// Turns the segments of a PNG into class ids, with a problem for each segment that is not listed.
    ///
    /// Unlabelled pixels (segment 0), crowds and segments that are not listed become [`IGNORE`], as COCO's scores
    /// leave them out.
    ///
    /// # Errors
    ///
    /// [`Error::Png`] if the PNG is damaged, of another size, or has no three channels of 8 bits.
    pub fn class_map(&self, bytes: &[u8], classes: &Classes) -> Result<(Vec<u8>, Vec<Problem>), Error> {
        let ids =
            png_mask::segments(bytes, self.size).map_err(|reason| Error::Png { file: self.png.clone(), reason })?;
        let class = |segment: &Segment| if segment.crowd { None } else { classes.of(segment.category) };
        let mut class_of: HashMap<u32, u8> =
            self.segments.iter().map(|(id, segment)| (*id, class(segment).unwrap_or(IGNORE))).collect();
        class_of.insert(0, IGNORE);
        let mut problems = Vec::new();
        let mut map = Vec::with_capacity(ids.len());
        for id in ids {
            map.push(*class_of.entry(id).or_insert_with(|| {
                let (image, annotation) = (Some(self.file_name.clone()), Some(id.to_string()));
                let trouble = Trouble::UnknownSegment(id);
                problems.push(Problem { file: self.png.clone(), image, annotation, trouble });
                IGNORE
            }));
        }
        Ok((map, problems))
    }
}
