//! COCO's files of instances, with polygons, run lengths and crowds.

pub mod panoptic;
mod raw;
pub mod write;

use crate::json;
use crate::patch::Size;
use crate::problem::{Error, Problem, Trouble};
use crate::rle::Rle;
use crate::rule::Rule;
use crate::set::{Annotated, Category, Set};
use crate::shape::{Geometry, Shape};
use raw::{Counts, Segmentation};
use std::collections::{HashMap, HashSet};

/// Reads a file of instances (`instances_train2017.json` and the like).
///
/// The shapes of a crowd (`iscrowd: 1`) are marked as such. Annotations that cannot be used are left out and named in
/// [`Set::problems`]. Beside the bytes, reading needs about twice their
/// size in memory.
///
/// # Errors
///
/// [`Error`] if the file is not COCO's JSON, or two categories have one id.
pub fn parse(file: &str, bytes: &[u8]) -> Result<Set, Error> {
    if json::first(bytes) == Some(b'[') {
        let advice = "give it the file of annotations, which begins with {\"images\": …";
        return Err(Error::OtherFormat { file: file.to_owned(), found: "a list, as COCO's results are", advice });
    }
    let raw: raw::File = json::parse(file, "COCO's instances", bytes)?;
    let categories = categories(file, raw.categories)?;
    let mut reader = Images::new(file);
    raw.images.into_iter().for_each(|image| reader.add(image));
    let known: HashSet<u64> = categories.iter().map(|category| category.id).collect();
    let mut ids = HashSet::with_capacity(raw.annotations.len());
    for annotation in raw.annotations {
        let (id, image_id) = (annotation.id, annotation.image_id);
        let place = reader.of_id.get(&image_id).copied();
        let shape = match place {
            None if reader.refused.contains(&image_id) => continue,
            None => Err(Trouble::UnknownImage(image_id)),
            Some(_) if !ids.insert(id) => Err(Trouble::DuplicateAnnotation),
            Some(_) if !known.contains(&annotation.category_id) => {
                Err(Trouble::UnknownCategory(annotation.category_id.to_string()))
            }
            Some(index) => geometry(annotation.segmentation, reader.images[index].size).map(|geometry| Shape {
                id: id.to_string(),
                category: Some(annotation.category_id),
                crowd: annotation.iscrowd,
                geometry,
            }),
        };
        match (shape, place) {
            (Ok(shape), Some(index)) => reader.images[index].shapes.push(shape),
            (Ok(_), None) => {}
            (Err(trouble), _) => {
                let image = place.map_or(image_id.to_string(), |index| reader.images[index].file_name.clone());
                let annotation = Some(id.to_string());
                reader.problems.push(Problem { file: file.to_owned(), image: Some(image), annotation, trouble });
            }
        }
    }
    Ok(Set { categories, images: reader.images, problems: reader.problems })
}

/// Sorts the categories by their ids.
fn categories(file: &str, raw: Vec<raw::Category>) -> Result<Vec<Category>, Error> {
    let mut categories: Vec<Category> =
        raw.into_iter().map(|category| Category { id: category.id, name: category.name }).collect();
    categories.sort_by_key(|category| category.id);
    match categories.windows(2).find(|pair| pair[0].id == pair[1].id) {
        Some(pair) => Err(Error::DuplicateCategory { file: file.to_owned(), id: pair[0].id }),
        None => Ok(categories),
    }
}

/// Images by their ids.
struct Images<'a> {
    file: &'a str,
    images: Vec<Annotated>,
    of_id: HashMap<u64, usize>,
    /// Images that are not in the set; their annotations are not named one by one.
    refused: HashSet<u64>,
    problems: Vec<Problem>,
}

impl Images<'_> {
    fn new(file: &str) -> Images<'_> {
        let problems = Vec::new();
        Images { file, images: Vec::new(), of_id: HashMap::new(), refused: HashSet::new(), problems }
    }

    fn add(&mut self, image: raw::Image) {
        let size = Size::new(image.width, image.height);
        let trouble = match size {
            _ if self.of_id.contains_key(&image.id) => Some(Trouble::DuplicateImage),
            _ if image.file_name.is_empty() => Some(Trouble::NoFileName),
            Err(_) => Some(Trouble::BadSize { width: image.width, height: image.height }),
            Ok(_) => None,
        };
        if let (Ok(size), None) = (size, &trouble) {
            self.of_id.insert(image.id, self.images.len());
            self.images.push(Annotated { file_name: image.file_name, size, shapes: Vec::new() });
        } else if let Some(trouble) = trouble {
            self.refused.insert(image.id);
            let name = if image.file_name.is_empty() { image.id.to_string() } else { image.file_name };
            self.problems.push(Problem { file: self.file.to_owned(), image: Some(name), annotation: None, trouble });
        }
    }
}

/// Checks a segmentation against its image.
fn geometry(segmentation: Option<Segmentation>, size: Size) -> Result<Geometry, Trouble> {
    let geometry = match segmentation {
        None => return Err(Trouble::NoSegmentation),
        Some(Segmentation::Polygons(rings)) if rings.is_empty() => return Err(Trouble::NoSegmentation),
        Some(Segmentation::Polygons(rings)) => {
            let ring = |ring: Vec<f64>| match ring.as_chunks::<2>() {
                (points, []) => Ok(points.to_vec()),
                _ => Err(Trouble::OddCoordinates(ring.len())),
            };
            let rings = rings.into_iter().map(ring).collect::<Result<Vec<_>, _>>()?;
            Geometry::Polygons { rings, rule: Rule::Coco }
        }
        Some(Segmentation::Runs { size: [found_height, found_width], counts }) => {
            let (width, height) = (size.width(), size.height());
            if (found_width, found_height) != (u64::from(width), u64::from(height)) {
                return Err(Trouble::SizesDisagree { found_width, found_height, width, height });
            }
            Geometry::Runs(match counts {
                Counts::Runs(counts) => Rle::new(size, counts)?,
                Counts::Compressed(text) => Rle::from_string(size, &text)?,
            })
        }
    };
    geometry.check(size)?;
    Ok(geometry)
}
