//! Class maps as COCO's file of instances.

use crate::outline::{Area, By, Options, outlines};
use crate::patch::Size;
use crate::problem::Error;
use crate::rle::Rle;
use serde::Serialize;

/// Form of the segmentations that are written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    /// Polygons along the pixels' edges. COCO's polygons cannot have holes: an area with holes is written as run
    /// lengths, uncompressed.
    Polygons {
        /// Largest distance in pixels of a corner that was left out; 0 is exact, also by COCO's rule.
        tolerance: f64,
    },
    /// Compressed run lengths.
    Runs,
}

/// COCO's file of instances, image by image: give it to `serde_json::to_writer`.
///
/// Class 0 is the background and has no annotations, nor have ignored pixels. Classes 1, 2, … are the categories 1, 2,
/// …. Images and annotations count from 1.
#[derive(Clone, Debug, Serialize)]
pub struct Instances {
    images: Vec<Image>,
    annotations: Vec<Annotation>,
    categories: Vec<Category>,
}

#[derive(Clone, Debug, Serialize)]
struct Image {
    id: usize,
    file_name: String,
    width: u32,
    height: u32,
}

#[derive(Clone, Debug, Serialize)]
struct Category {
    id: usize,
    name: String,
    supercategory: &'static str,
}

#[derive(Clone, Debug, Serialize)]
struct Annotation {
    id: usize,
    image_id: usize,
    category_id: u8,
    iscrowd: u8,
    area: u64,
    /// x, y, width, height.
    bbox: [u32; 4],
    segmentation: Segmentation,
}

#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum Segmentation {
    Polygons(Vec<Vec<u32>>),
    Runs { size: [u32; 2], counts: Vec<u32> },
    Compressed { size: [u32; 2], counts: String },
}

impl Instances {
    /// Begins a file with the names of the classes 1, 2, ….
    pub fn new(names: &[String]) -> Instances {
        let category = |(name, id): (&String, usize)| Category { id, name: name.clone(), supercategory: "" };
        let categories = names.iter().zip(1..).map(category).collect();
        Instances { images: Vec::new(), annotations: Vec::new(), categories }
    }

    /// Adds an image's class map, with one annotation for each class or component.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if the map does not have the size, [`Error::UnknownClass`] if a class has no name.
    pub fn add(&mut self, file_name: &str, map: &[u8], size: Size, by: By, form: Form) -> Result<(), Error> {
        let exact = Options { by, tolerance: 0.0, left_out: vec![0] };
        let areas = outlines(map, size, &exact)?;
        let simplified = match form {
            Form::Polygons { tolerance } if tolerance > 0.0 => outlines(map, size, &Options { tolerance, ..exact })?,
            _ => areas.clone(),
        };
        let classes = self.categories.len();
        if let Some(area) = areas.iter().find(|area| usize::from(area.class) > classes) {
            return Err(Error::UnknownClass { file: file_name.to_owned(), class: area.class, classes });
        }
        let image_id = self.images.len() + 1;
        let (width, height) = (size.width(), size.height());
        self.images.push(Image { id: image_id, file_name: file_name.to_owned(), width, height });
        for (area, simplified) in areas.iter().zip(&simplified) {
            let holes = area.polygons.iter().any(|polygon| !polygon.holes.is_empty());
            let size_of = [height, width];
            let segmentation = match form {
                Form::Polygons { .. } if !holes => Segmentation::Polygons(flat(simplified)),
                Form::Polygons { .. } => {
                    Segmentation::Runs { size: size_of, counts: runs(area, size).counts().to_vec() }
                }
                Form::Runs => Segmentation::Compressed { size: size_of, counts: runs(area, size).to_compressed() },
            };
            self.annotations.push(Annotation {
                id: self.annotations.len() + 1,
                image_id,
                category_id: area.class,
                iscrowd: 0,
                area: area.pixels,
                bbox: bbox(area),
                segmentation,
            });
        }
        Ok(())
    }
}

/// Returns the outer rings as COCO writes them: x and y in turn.
fn flat(area: &Area) -> Vec<Vec<u32>> {
    area.polygons.iter().map(|polygon| polygon.outer.concat()).collect()
}

/// Returns the run lengths of an exact outline: each level edge begins or ends a run in the columns that it spans.
pub(crate) fn runs(area: &Area, size: Size) -> Rle {
    let mut turns: Vec<u32> = Vec::new();
    for ring in area.polygons.iter().flat_map(|polygon| polygon.rings()) {
        for (index, from) in ring.iter().enumerate() {
            let to = ring[(index + 1) % ring.len()];
            if from[1] == to[1] {
                turns.extend((from[0].min(to[0])..from[0].max(to[0])).map(|x| x * size.height() + from[1]));
            }
        }
    }
    turns.sort_unstable();
    let (spans, _) = turns.as_chunks::<2>();
    Rle::of_spans(size, spans)
}

fn bbox(area: &Area) -> [u32; 4] {
    let (mut low, mut high) = ([u32::MAX; 2], [0; 2]);
    for point in area.polygons.iter().flat_map(|polygon| &polygon.outer) {
        for axis in 0..2 {
            low[axis] = low[axis].min(point[axis]);
            high[axis] = high[axis].max(point[axis]);
        }
    }
    [low[0], low[1], high[0] - low[0], high[1] - low[1]]
}
