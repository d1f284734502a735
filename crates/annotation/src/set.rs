//! Contents of annotation files: categories, and images with their shapes.

use crate::outline::IGNORE;
use crate::patch::Size;
use crate::problem::{Error, Problem, Trouble};
use crate::shape::Shape;

/// Kind of object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Category {
    /// Id in the file.
    pub id: u64,
    /// Name.
    pub name: String,
}

/// An image with its annotations.
#[derive(Clone, Debug, PartialEq)]
pub struct Annotated {
    /// Name of the image's file, as the annotation file has it.
    pub file_name: String,
    /// Size in pixels.
    pub size: Size,
    /// Shapes in the file's order of painting.
    pub shapes: Vec<Shape>,
}

/// Contents of one or several annotation files.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Set {
    /// Categories in the order of their ids.
    pub categories: Vec<Category>,
    /// Images in the file's order.
    pub images: Vec<Annotated>,
    /// Problems of all that was left out.
    pub problems: Vec<Problem>,
}

impl Set {
    /// Returns the names of the classes by their ids in class maps: `background`, then the categories.
    pub fn class_names(&self) -> Vec<String> {
        let names = self.categories.iter().map(|category| category.name.clone());
        std::iter::once("background".to_owned()).chain(names).collect()
    }

    /// Returns the class ids of the categories.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyCategories`] if there are more than 254.
    pub fn classes(&self) -> Result<Classes, Error> {
        Classes::new(&self.categories)
    }
}

/// Class ids of categories: 1, 2, … in the order of the categories' ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classes {
    ids: Vec<u64>,
}

impl Classes {
    /// Gives each category a class id.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyCategories`] if there are more than 254.
    pub fn new(categories: &[Category]) -> Result<Classes, Error> {
        if categories.len() >= usize::from(IGNORE) {
            return Err(Error::TooManyCategories(categories.len()));
        }
        let mut ids: Vec<u64> = categories.iter().map(|category| category.id).collect();
        ids.sort_unstable();
        Ok(Classes { ids })
    }

    /// Returns a category's class id, or `None` if it is not listed.
    pub fn of(&self, category: u64) -> Option<u8> {
        self.ids.binary_search(&category).ok().map(|index| index as u8 + 1)
    }
}

/// Order in which overlapping shapes are painted; later ones lie on top.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The shape with the most pixels first, so that small ones lie on top; equal ones in the file's order.
    #[default]
    Area,
    /// The file's order.
    File,
}

impl Annotated {
    /// Paints the shapes: `height × width` class ids, background 0, crowds [`IGNORE`].
    ///
    /// Shapes of categories that `classes` does not list are left out.
    pub fn class_map(&self, classes: &Classes, order: Order) -> Vec<u8> {
        let mut map = vec![0; self.size.pixels()];
        let mut shapes: Vec<&Shape> = self.shapes.iter().collect();
        if order == Order::Area {
            // Masks are made anew below: all at once may be many times the image.
            shapes.sort_by_cached_key(|shape| std::cmp::Reverse(shape.geometry.patch(self.size).area()));
        }
        for shape in shapes {
            let class = match (shape.crowd, shape.category) {
                (true, _) => IGNORE,
                (false, None) => 0,
                (false, Some(category)) => match classes.of(category) {
                    Some(class) => class,
                    None => continue,
                },
            };
            shape.geometry.patch(self.size).paint(&mut map, self.size.width(), class);
        }
        map
    }

    /// Compares the size with that of the image itself.
    pub fn check_size(&self, file: &str, width: u32, height: u32) -> Option<Problem> {
        let (found_width, found_height) = (u64::from(self.size.width()), u64::from(self.size.height()));
        let trouble = Trouble::SizesDisagree { found_width, found_height, width, height };
        let differs = (self.size.width(), self.size.height()) != (width, height);
        let image = Some(self.file_name.clone());
        differs.then(|| Problem { file: file.to_owned(), image, annotation: None, trouble })
    }
}
