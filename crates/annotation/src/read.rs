//! Files of the tools that name categories by words, or number them in a list.

use crate::collect::Collector;
use crate::image::Image;
use crate::problem::Error;
use crate::set::Set;
use crate::{cvat, label_studio, labelme, yolo};

/// Format of an annotation file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// LabelMe's JSON, one for each image.
    LabelMe,
    /// Ultralytics' text of segments, one for each image.
    Yolo,
    /// Label Studio's export as JSON.
    LabelStudio,
    /// CVAT for images 1.1, XML.
    Cvat,
}

/// Reads any number of files of one format into one set.
#[derive(Debug)]
pub struct Reader {
    format: Format,
    collector: Collector,
}

impl Reader {
    /// Begins a set.
    ///
    /// With `names`, these are the categories, with ids from 1 in their order, and others are problems. Without, the
    /// categories are those that the files name, with ids in the order of their names. YOLO's files hold numbers only:
    /// without names, each class is unknown.
    pub fn new(format: Format, names: Option<&[String]>) -> Reader {
        let names = if format == Format::Yolo { Some(names.unwrap_or_default()) } else { names };
        Reader { format, collector: Collector::new(names) }
    }

    /// Reads a file.
    ///
    /// `find` is asked for the image of the name that the file has for it: LabelMe's `imagePath`, Label Studio's last
    /// part of the address, CVAT's `name`, and for YOLO `file` without its ending. Sizes in the file must agree with
    /// it. `None` takes the file's name and size; a file that has no size needs the image.
    ///
    /// # Errors
    ///
    /// [`Error`] if the file as a whole cannot be read. What concerns one annotation or image is a problem of the set.
    pub fn read(&mut self, file: &str, bytes: &[u8], find: &dyn Fn(&str) -> Option<Image>) -> Result<(), Error> {
        match self.format {
            Format::LabelMe => labelme::read(&mut self.collector, file, bytes, find),
            Format::Yolo => yolo::read(&mut self.collector, file, bytes, find),
            Format::LabelStudio => label_studio::read(&mut self.collector, file, bytes, find),
            Format::Cvat => cvat::read(&mut self.collector, file, bytes, find),
        }
    }

    /// Ends the set.
    pub fn finish(self) -> Set {
        self.collector.finish()
    }
}
