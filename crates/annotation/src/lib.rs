//! Polygons and run lengths of class maps, and the files of other programs that hold them.
//!
//! ```
//! use annotation::{Options, Order, Size, coco, outlines};
//!
//! let json = br#"{"images": [{"id": 7, "file_name": "a.jpg", "width": 6, "height": 4}],
//!     "categories": [{"id": 3, "name": "cat"}],
//!     "annotations": [{"id": 1, "image_id": 7, "category_id": 3, "segmentation": [[1, 1, 4, 1, 4, 3, 1, 3]]}]}"#;
//! let set = coco::parse("train.json", json)?;
//! let map = set.images[0].class_map(&set.classes()?, Order::Area);
//! assert_eq!(map[6..12], [0, 1, 1, 1, 0, 0]);
//!
//! let back = outlines(&map, Size::new(6, 4)?, &Options { left_out: vec![0], ..Options::default() })?;
//! assert_eq!(back[0].polygons[0].outer, [[1, 1], [4, 1], [4, 3], [1, 3]]);
//! # Ok::<(), annotation::Error>(())
//! ```
//!
//! A **class map** has `height × width` ids of 8 bits, row by row: 0 is the background, 1, 2, … are the categories in
//! the order of their ids, and 255 ([`IGNORE`]) is ignored.
//!
//! - [`outlines`] turns a class map into polygons along the pixels' edges, and [`FeatureCollection`] writes them as
//!   GeoJSON, [`coco::write::Instances`] as COCO.
//! - [`coco::parse`], [`coco::panoptic::parse`] and [`Reader`] read annotation files, and [`Annotated::class_map`]
//!   paints a class map. Each shape gets the pixels that its own tool gives it ([`Rule`]). CVAT's and Label Studio's
//!   polygons and boxes get COCO's, to which their exports convert.
//! - [`Rle`] holds COCO's run lengths.
//!
//! # What it does not do
//!
//! It opens no files: it is handed bytes, and names for its messages. It reads no images but PNG masks, and needs their
//! sizes from elsewhere where a format lacks them. Coordinates are not reprojected. Lines, points and cuboids of CVAT,
//! and Label Studio's key points, have no area and are left out by name.

pub mod coco;
mod collect;
mod cvat;
mod geojson;
mod image;
mod json;
mod label_studio;
mod labelme;
mod outline;
mod patch;
mod png_mask;
mod problem;
mod read;
mod rle;
mod rule;
mod set;
mod shape;
mod yolo;

pub use geojson::FeatureCollection;
pub use image::Image;
pub use outline::{Area, By, IGNORE, Neighbours, Options, Polygon, outlines};
pub use patch::{MAX_PIXELS, Patch, Size, SizeError};
pub use problem::{Error, Problem, Trouble};
pub use read::{Format, Reader};
pub use rle::{Rle, RleError};
pub use rule::Rule;
pub use set::{Annotated, Category, Classes, Order, Set};
pub use shape::{Geometry, Shape};
pub use yolo::names;
