//! Files that name categories by words: the list is given, or grows with the files.

use crate::problem::{Problem, Trouble};
use crate::set::{Annotated, Category, Set};
use crate::shape::{Geometry, Shape};
use std::collections::{HashMap, HashSet};

/// Gathers files into one [`Set`].
#[derive(Debug)]
pub(crate) struct Collector {
    set: Set,
    names: HashMap<String, u64>,
    /// True if only listed categories are known.
    listed: bool,
    images: HashSet<String>,
}

impl Collector {
    /// Begins a set of listed categories, with ids from 1 in their order, or of those that files will name.
    pub(crate) fn new(names: Option<&[String]>) -> Collector {
        let listed = names.is_some();
        let names = names.unwrap_or_default();
        let categories: Vec<Category> =
            names.iter().zip(1..).map(|(name, id)| Category { id, name: name.clone() }).collect();
        let names = categories.iter().rev().map(|category| (category.name.clone(), category.id)).collect();
        Collector { set: Set { categories, ..Set::default() }, names, listed, images: HashSet::new() }
    }

    /// Returns the names of the categories in the order of their ids.
    pub(crate) fn listed(&self) -> Vec<String> {
        self.set.categories.iter().map(|category| category.name.clone()).collect()
    }

    /// Adds names that a file lists itself, unless the list was given.
    pub(crate) fn declare(&mut self, name: &str) {
        if !self.listed {
            self.id(name);
        }
    }

    /// Returns a category's id.
    pub(crate) fn category(&mut self, name: &str) -> Result<u64, Trouble> {
        if name.is_empty() {
            return Err(Trouble::NoCategory);
        }
        match self.names.get(name) {
            Some(&id) => Ok(id),
            None if self.listed => Err(Trouble::UnknownCategory(format!("\"{name}\""))),
            None => Ok(self.id(name)),
        }
    }

    fn id(&mut self, name: &str) -> u64 {
        if let Some(&id) = self.names.get(name) {
            return id;
        }
        let id = self.set.categories.len() as u64 + 1;
        self.set.categories.push(Category { id, name: name.to_owned() });
        self.names.insert(name.to_owned(), id);
        id
    }

    pub(crate) fn problem(&mut self, file: &str, image: Option<&str>, annotation: Option<&str>, trouble: Trouble) {
        let [image, annotation] = [image, annotation].map(|text| text.map(str::to_owned));
        self.set.problems.push(Problem { file: file.to_owned(), image, annotation, trouble });
    }

    /// Adds an image; false if there is one of this name.
    pub(crate) fn image(&mut self, file: &str, image: Annotated) -> bool {
        let new = self.images.insert(image.file_name.clone());
        if new {
            self.set.images.push(image);
        } else {
            self.problem(file, Some(&image.file_name), None, Trouble::DuplicateImage);
        }
        new
    }

    /// Adds a shape to an image that is not in the set yet, or a problem.
    pub(crate) fn shape(
        &mut self,
        file: &str,
        image: &mut Annotated,
        id: String,
        label: &str,
        geometry: Result<Geometry, Trouble>,
    ) {
        let checked = geometry.and_then(|geometry| geometry.check(image.size).map(|()| geometry));
        // LabelMe's names for pixels to ignore and for the background; other tools' files do not have them.
        let labelled = checked.and_then(|geometry| match label {
            "__ignore__" | "_background_" if !self.names.contains_key(label) => Ok((geometry, None)),
            _ => self.category(label).map(|category| (geometry, Some(category))),
        });
        match labelled {
            Ok((geometry, category)) => {
                let crowd = category.is_none() && label == "__ignore__";
                image.shapes.push(Shape { id, category, crowd, geometry });
            }
            Err(trouble) => self.problem(file, Some(&image.file_name), Some(&id), trouble),
        }
    }

    /// Ends the set. Categories that no list ordered get their ids in the order of their names.
    pub(crate) fn finish(mut self) -> Set {
        if !self.listed {
            let categories = &mut self.set.categories;
            categories.sort_by(|one, other| one.name.cmp(&other.name));
            let new: HashMap<u64, u64> = categories.iter().zip(1..).map(|(category, id)| (category.id, id)).collect();
            categories.iter_mut().zip(1..).for_each(|(category, id)| category.id = id);
            let shapes = self.set.images.iter_mut().flat_map(|image| &mut image.shapes);
            shapes.for_each(|shape| shape.category = shape.category.and_then(|id| new.get(&id).copied()));
        }
        self.set
    }
}
